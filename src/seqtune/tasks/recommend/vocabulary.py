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


def item_ids(directory: Path, *, num_items: int) -> pa.Array:
    """Return raw ids [V] of items 1..V, from the table in a split or a checkpoint's assets.

    A table of another size is refused before it is read.
    """
    path = directory / ITEMS_TABLE
    try:
        if (found := pq.read_metadata(path).num_rows) != num_items:
            raise _damaged(path, f"it names {found} items, not {num_items}")
        table = pq.read_table(path, columns=[ITEM, ITEM_ID])
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from error
    require_order(table[ITEM], start=1, path=path)
    ids = table[ITEM_ID].combine_chunks()
    if ids.null_count or len(ids.unique()) < num_items:
        raise _damaged(path, "an id is missing, or stands for several items")
    return ids


def _damaged(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        f"{path} is missing or damaged ({reason}); choose another version with --load-versions, or "
        "run `kedro run` again"
    )


def require_order(numbers: Any, *, start: int, path: Path) -> None:
    """Refuse a table whose rows are not in the order of their numbers."""
    found = np.asarray(numbers)
    if not np.array_equal(found, np.arange(start, start + len(found))):
        raise ArtifactError(f"{path} is damaged: its rows are out of order; run split again")
