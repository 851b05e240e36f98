"""Columns in a path: `log/date=2024-01-31/part-0.parquet` holds rows of one date.

Spark, Hive, Athena and DuckDB write tables so, and leave the column out of the files.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

_NULL = "__HIVE_DEFAULT_PARTITION__"


def partitions_of(path: Path) -> dict[str, str | None]:
    """Return the columns of a path, each with its value in that file."""
    pairs = (part.split("=", 1) for part in path.parent.parts if part.find("=") > 0)
    return {unquote(name): None if value == _NULL else unquote(value) for name, value in pairs}
