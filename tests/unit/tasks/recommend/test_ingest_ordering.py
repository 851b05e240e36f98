"""All ways to sort a piece give what a plain stable sort gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.tasks.recommend.ingest import scatter
from seqtune.tasks.recommend.ingest.ordering import (
    Rules,
    Sorted,
    cut_users,
    leave_out,
    sort_rows,
    sort_scattered,
    sort_words,
    user_ranges,
)
from seqtune.tasks.recommend.ingest.scatter import Scattered
from seqtune.tasks.recommend.ingest.words import Layout, UserRange, find_layout

Row = tuple[int, int, int]
"""user, item, time; the position in a list is the row of the file."""


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def all_ways(
    connection: duckdb.DuckDBPyConnection, rows: list[Row], rules: Rules, *, kind: str = "integer"
) -> list[Sorted]:
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    numbered = pa.table(
        {
            "user": columns[0].astype(np.int32),
            "item": columns[1].astype(np.int32),
            "time": columns[2].astype(np.int64),
            "row": np.arange(len(rows)),
        }
    )
    mixed = numbered.take(np.random.default_rng(0).permutation(len(rows)))  # joins keep no order
    connection.register("numbered", mixed)
    users = UserRange(int(columns[0].min()), int(columns[0].max()), len(rows), "true")
    layout = find_layout(connection, "numbered", num_items=int(columns[1].max()), kind=kind)
    found = [sort_rows(connection, users, layout, rules)]
    if layout.fits(users):
        found.append(sort_words(connection, users, layout, rules))
        with TemporaryDirectory() as folder:
            scattered = Scattered(Path(folder))
            scattered.write(connection, [users], layout)
            found.append(sort_scattered(scattered, users, layout, rules))
    return found


def plain(rows: list[Row], *, drop: bool) -> list[Row]:
    kept = list(dict.fromkeys(rows)) if drop else rows
    return sorted(kept, key=lambda row: (row[0], row[2]))


small = st.tuples(st.integers(3, 6), st.integers(1, 4), st.integers(0, 3))
wide = st.tuples(
    st.sampled_from([0, 1, 2**20]), st.integers(1, 9), st.sampled_from([-(2**40), 0, 2**62])
)


@given(st.lists(small, min_size=1, max_size=50) | st.lists(wide, min_size=1, max_size=20))
@pytest.mark.parametrize("drop", [True, False])
@settings(max_examples=40, deadline=None)
def test_like_a_stable_sort(
    connection: duckdb.DuckDBPyConnection, drop: bool, rows: list[Row]
) -> None:
    rules = Rules(min_interactions=1, find_duplicates=True, drop_duplicates=drop)
    expected = plain(rows, drop=drop)
    first = min(user for user, _, _ in rows)
    for found in all_ways(connection, rows, rules):
        users = np.repeat(np.arange(first, first + len(found.lengths)), found.lengths)
        columns = (users, found.items, found.times)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
        assert found.num_duplicates == len(rows) - len(set(rows))


def test_whole_seconds_take_fewer_bits(connection: duckdb.DuckDBPyConnection) -> None:
    rows = [(0, 1, 5_000_000), (0, 2, 3_000_000), (1, 1, 4_000_000)]
    rules = Rules(min_interactions=1, find_duplicates=True, drop_duplicates=True)
    for found in all_ways(connection, rows, rules, kind="timestamp"):
        assert found.times.tolist() == [3_000_000, 5_000_000, 4_000_000]
    layout = find_layout(connection, "numbered", num_items=2, kind="timestamp")
    assert layout == Layout(first_time=3_000_000, time_unit=1_000_000, time_bits=2, item_bits=2)


def test_a_word_has_63_bits() -> None:
    layout = Layout(first_time=0, time_unit=1, time_bits=40, item_bits=20)
    assert layout.fits(UserRange(5, 12, 8, ""))
    assert not layout.fits(UserRange(5, 13, 9, ""))


def test_short_users_are_left_out() -> None:
    rows = Sorted(
        lengths=np.array([2, 0, 1, 2, 0]),
        items=np.array([1, 2, 3, 4, 5], np.int32),
        times=np.arange(5),
        num_duplicates=0,
    )
    rules = Rules(min_interactions=2, find_duplicates=True, drop_duplicates=True)
    piece = leave_out(rows, UserRange(10, 14, 5, ""), rules)
    assert piece.users.tolist() == [10, 13]
    assert piece.lengths.tolist() == [2, 2]
    assert piece.items.tolist() == [1, 2, 4, 5]
    assert piece.times.tolist() == [0, 1, 3, 4]
    assert piece.all_lengths.tolist() == [2, 0, 1, 2, 0]


def test_pieces_are_made_smaller_where_a_word_is_too_short() -> None:
    num_rows = np.full(4096, 1024)
    for time_bits, num_pieces in ((41, 1), (42, 2), (43, 4), (44, 4)):
        layout = Layout(first_time=0, time_unit=1, time_bits=time_bits, item_bits=10)
        ranges = cut_users(
            num_rows,
            layout=layout,
            piece_rows=1 << 22,
            condition=lambda first, last: f"{first}-{last}",
        )
        assert len(ranges) == num_pieces
        assert all(map(layout.fits, ranges)) == (time_bits < 44)
        assert (ranges[0].first, ranges[-1].last) == (0, 4095)
        assert ranges[0].condition.startswith("0-")


@pytest.mark.parametrize("piece_rows", [1, 3, 7, 100])
def test_ranges_cover_every_user_once(piece_rows: int) -> None:
    rows = np.array([5, 1, 1, 1, 9, 1, 2, 2])
    ranges = user_ranges(rows, piece_rows=piece_rows)
    assert [user for first, last in ranges for user in range(first, last + 1)] == list(range(8))
    sizes = [rows[first : last + 1].sum() for first, last in ranges]
    assert all(size < piece_rows + rows.max() for size in sizes)


@pytest.mark.parametrize("files_at_once", [1, 2, 256])
def test_every_row_is_laid_into_its_piece(
    connection: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files_at_once: int,
) -> None:
    monkeypatch.setattr(scatter, "FILES_AT_ONCE", files_at_once)
    monkeypatch.setattr(scatter, "ROWS_AT_ONCE", 7)
    random = np.random.default_rng(1)
    user = random.integers(0, 9, 100).astype(np.int32)
    item, time = random.integers(1, 5, 100).astype(np.int32), random.integers(50, 60, 100)
    table = {"user": user, "item": item, "time": time, "row": np.arange(100)}
    connection.register("numbered", pa.table(table))
    layout = find_layout(connection, "numbered", num_items=4, kind="integer")
    pieces = [UserRange(first, last, 0, "") for first, last in ((0, 1), (2, 2), (3, 8))]
    scattered = Scattered(tmp_path)
    scattered.write(connection, pieces, layout)
    for piece in pieces:
        own = np.flatnonzero((user >= piece.first) & (user <= piece.last))
        word = (user[own].astype(np.int64) - piece.first) << layout.user_shift
        word |= ((time[own] - layout.first_time) << layout.item_bits) | item[own]
        order = np.argsort(scattered.places(piece))
        assert scattered.places(piece)[order].tolist() == own.tolist()
        assert scattered.words(piece)[order].tolist() == word.tolist()
        scattered.forget(piece)
    assert not list(tmp_path.iterdir())
