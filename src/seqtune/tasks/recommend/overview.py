"""Views of the data for notebooks: lengths, times, titles, single users.

Shapes: U users, V items.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from seqtune.core.columns import ITEM, TIME, USER, USER_ID, VALUE
from seqtune.core.errors import DataError

from .data import USERS_TABLE, Int64, SplitData
from .ingest.manifest import INTERACTIONS, read_manifest, side_file
from .ingest.times import UNIX_UNITS, TimeKind, iso, unix_unit
from .split import batches, measure
from .vocabulary import item_ids

Floats = npt.NDArray[np.float64]
ItemId = int | str
UserId = int | str


class Activity(NamedTuple):
    """Number of interactions between consecutive edges of time."""

    edges: list[str] | list[float]
    """ISO dates if the times are dates or look like Unix times, else the numbers."""
    counts: list[int]


class Person(NamedTuple):
    """One user of the split."""

    user: UserId
    history: list[ItemId]
    """Everything before the test item, oldest first."""
    chosen: ItemId | None
    """The test item; None for a user without one."""


def history_lengths(interactions: Path) -> Int64:  # [U]
    """Return how many interactions each user has."""
    num_users = read_manifest(interactions).num_users
    return measure(interactions / INTERACTIONS, num_users, None)[0]


def activity(interactions: Path, *, num_bins: int = 60) -> Activity | None:
    """Return interactions over time, or None without times; reads the log in batches."""
    kind = read_manifest(interactions).time
    if kind == "order":
        return None
    file = interactions / INTERACTIONS
    ends = [(rows[TIME].min(), rows[TIME].max()) for rows in batches(file, [TIME])]
    first, last = int(min(low for low, _ in ends)), int(max(high for _, high in ends))
    edges = np.linspace(first, last + 1, num_bins + 1)
    counts = np.zeros(num_bins, dtype=np.int64)
    for rows in batches(file, [TIME]):
        counts += np.histogram(rows[TIME], bins=edges)[0]
    return Activity(_shown(kind, edges, first, last), counts.tolist())


def _shown(kind: TimeKind, edges: Floats, first: int, last: int) -> list[str] | list[float]:
    unit = "us" if kind == "timestamp" else unix_unit(first, last) if kind == "integer" else None
    if unit:
        return [iso(int(edge * 10**6 / UNIX_UNITS[unit])) for edge in edges]
    found: list[float] = (edges / (1e6 if kind == "fraction" else 1)).tolist()
    return found


TITLE = "title"  # the side table with the names of items


def titles(interactions: Path) -> dict[ItemId, str]:
    """Return the name of each item: its title, or its id if it has none."""
    manifest = read_manifest(interactions)
    ids = item_ids(interactions, num_items=manifest.num_items).to_pylist()
    named: dict[ItemId, str] = {item: str(item) for item in ids}
    if TITLE in manifest.sides:
        table = pq.read_table(interactions / side_file(TITLE), columns=[ITEM, VALUE])
        rows = zip(table[ITEM].to_pylist(), table[VALUE].to_pylist(), strict=True)
        named |= {ids[number - 1]: str(title) for number, title in rows}
    return named


def people(split: Path, users: Sequence[UserId] | None = None, *, limit: int = 100) -> list[Person]:
    """Return these users, or `limit` evenly spread over the split."""
    data = SplitData.open(split)
    raw = pq.read_table(split / USERS_TABLE, columns=[USER, USER_ID])[USER_ID]
    if users is None:
        rows = np.linspace(0, data.num_users - 1, min(limit, data.num_users)).astype(np.int64)
    else:
        places = {user: row for row, user in enumerate(raw.to_pylist())}
        if unknown := [user for user in users if user not in places]:
            raise DataError(
                f"users {unknown[:10]!r} are not in the split; ids look like {raw[0].as_py()!r}"
            )
        rows = np.array([places[user] for user in users], np.int64)
    ids = item_ids(split, num_items=data.num_items).to_pylist()
    return [_person(data, int(row), raw[int(row)].as_py(), ids) for row in rows]


def _person(data: SplitData, row: int, user: UserId, ids: Sequence[ItemId]) -> Person:
    start, end = data.offsets[row : row + 2]
    items = [ids[number - 1] for number in data.items[start:end]]
    at = int(data.test_at[row])
    return Person(user, items, None) if at < 0 else Person(user, items[:at], items[at])


def overlaps(lists: Sequence[Sequence[Sequence[ItemId]]]) -> list[list[float]]:
    """Return for each pair of models the mean share of items that their lists for a user share.

    `lists` are by model and user.
    """

    def overlap(one: Sequence[Sequence[ItemId]], other: Sequence[Sequence[ItemId]]) -> float:
        pairs = zip(one, other, strict=True)
        shares = [len({*a} & {*b}) / max(len(a), len(b), 1) for a, b in pairs]
        return float(np.mean(shares)) if shares else 0.0

    return [[overlap(one, other) for other in lists] for one in lists]
