"""The data as a person looks at it: lengths, times, titles, single users. For notebooks.

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
    """How many interactions fall between two edges of time."""

    edges: list[str] | list[float]
    """ISO dates where the times are dates or seem to be, else the numbers themselves."""
    counts: list[int]


class Person(NamedTuple):
    """One user of the split."""

    user: UserId
    history: list[ItemId]
    """Everything before the item that was held out for the test, oldest first."""
    chosen: ItemId | None
    """That item; None for a user without one."""


def history_lengths(interactions: Path) -> Int64:  # [U]
    """How many interactions each user has."""
    num_users = read_manifest(interactions).num_users
    return measure(interactions / INTERACTIONS, num_users, None)[0]


def activity(interactions: Path, *, num_bins: int = 60) -> Activity | None:
    """Interactions over time; None where there are no times. The log is read in pieces."""
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


TITLE = "title"
"""The side table by which items are called."""


def titles(interactions: Path) -> dict[ItemId, str]:
    """What to call each item: its title, or its id where there is none."""
    ids = item_ids(interactions).to_pylist()
    named: dict[ItemId, str] = {item: str(item) for item in ids}
    if TITLE in read_manifest(interactions).sides:
        table = pq.read_table(interactions / side_file(TITLE), columns=[ITEM, VALUE])
        rows = zip(table[ITEM].to_pylist(), table[VALUE].to_pylist(), strict=True)
        named |= {ids[number - 1]: str(title) for number, title in rows}
    return named


def people(split: Path, users: Sequence[UserId] | None = None, *, limit: int = 100) -> list[Person]:
    """These users, or `limit` from all over the split."""
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
    ids = item_ids(split).to_pylist()
    return [_person(data, int(row), raw[int(row)].as_py(), ids) for row in rows]


def _person(data: SplitData, row: int, user: UserId, ids: Sequence[ItemId]) -> Person:
    start, end = data.offsets[row : row + 2]
    items = [ids[number - 1] for number in data.items[start:end]]
    held_out = int(data.test_at[row])
    if held_out < 0:
        return Person(user, items, None)
    return Person(user, items[:held_out], items[held_out])


def overlaps(lists: Sequence[Sequence[Sequence[ItemId]]]) -> list[list[float]]:
    """How far models recommend the same: lists by model and user -> the mean share of items that
    two models' lists for a user have in common, for each pair of models."""
    return [[_overlap(one, other) for other in lists] for one in lists]


def _overlap(one: Sequence[Sequence[ItemId]], other: Sequence[Sequence[ItemId]]) -> float:
    shares = [
        len({*mine} & {*theirs}) / max(len(mine), len(theirs), 1)
        for mine, theirs in zip(one, other, strict=True)
    ]
    return float(np.mean(shares)) if shares else 0.0
