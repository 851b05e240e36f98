"""Number the values of side tables: categories by value, texts by their words.

Numbers count from 1 in the order of the sorted values, so they depend on the content alone.
A text becomes its distinct lower-cased words; words of a single text are left out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from seqtune.core.columns import ITEM, VALUE

from .ingest.engine import connect
from .params import SideKind

MIN_TEXTS = 2

_WORDS = r"""
    WITH words AS (
        SELECT DISTINCT item, unnest(regexp_extract_all(lower(value), '[\pL\pM\pN]+')) AS value
        FROM side
    ), common AS (
        SELECT value FROM words GROUP BY value HAVING count(*) >= ?
    )
    SELECT item, value FROM words SEMI JOIN common USING (value)
"""


def number_side(path: Path, name: str, kind: SideKind, num_items: int, *, out: Path) -> int:
    """Write the arrays of a side table (see data.py); return the number of distinct values."""
    table = pq.read_table(path).rename_columns({ITEM: "item", VALUE: "value"})
    with (
        tempfile.TemporaryDirectory(prefix=".split-", dir=out) as folder,
        connect(Path(folder)) as connection,
    ):
        connection.register("side", table)
        if kind == "text":
            connection.execute(f"CREATE TABLE pairs AS {_WORDS}", [MIN_TEXTS])
        else:
            connection.execute("CREATE TABLE pairs AS SELECT DISTINCT item, value FROM side")
        rows = connection.execute(
            "SELECT item, dense_rank() OVER (ORDER BY value) AS number FROM pairs ORDER BY 1, 2"
        ).fetchnumpy()
    values = np.asarray(rows["number"], dtype=np.int32)
    counts = np.bincount(np.asarray(rows["item"]), minlength=num_items + 1)  # [V + 1]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)  # [V + 2]
    np.save(out / f"side_{name}_values.npy", values, allow_pickle=False)
    np.save(out / f"side_{name}_offsets.npy", offsets, allow_pickle=False)
    return int(values.max(initial=0))
