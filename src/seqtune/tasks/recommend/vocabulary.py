"""Raw item ids by item number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqtune.core.columns import ITEM, ITEM_ID
from seqtune.core.errors import ArtifactError

from .data import ITEMS_TABLE


def item_ids(directory: Path) -> pa.Array:
    """Return raw ids [V] of items 1..V, from the table in a split or a checkpoint's assets."""
    path = directory / ITEMS_TABLE
    try:
        table = pq.read_table(path, columns=[ITEM, ITEM_ID])
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} is missing or damaged ({error}); choose another version with "
            "--load-versions, or run `kedro run` again"
        ) from error
    require_order(table[ITEM], start=1, path=path)
    return table[ITEM_ID].combine_chunks()


def require_order(numbers: Any, *, start: int, path: Path) -> None:
    """Refuse a table whose rows are not in the order of their numbers."""
    found = np.asarray(numbers)
    if not np.array_equal(found, np.arange(start, start + len(found))):
        raise ArtifactError(f"{path} is damaged: its rows are out of order; run split again")
