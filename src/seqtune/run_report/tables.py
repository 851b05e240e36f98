"""Read the tables of a run as plain values."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from seqtune.datasets.remote_path import AnyPath

MOST_ROWS = 200
"""Of a table; the file has all."""


def read_table(path: AnyPath) -> dict[str, Any]:
    """Read a CSV: `columns`, the first `rows`, and how many are left out."""
    text = io.StringIO(path.read_text(encoding="utf-8"), newline="")
    columns, *rows = list(csv.reader(text)) or [[]]
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(columns))]
    read = [
        [_number(cell) if is_number else cell for cell, is_number in zip(row, numeric, strict=True)]
        for row in rows[:MOST_ROWS]
    ]
    return {"columns": columns, "rows": read, "left_out": max(0, len(rows) - MOST_ROWS)}


def _is_number(cell: str) -> bool:
    try:
        return cell == "" or math.isfinite(float(cell))
    except ValueError:
        return False


def _number(cell: str) -> float | int | None:
    """Parse a number; 12 is an integer, 12.0 a float."""
    if cell == "":
        return None
    return int(cell) if cell.lstrip("-").isdecimal() else float(cell)
