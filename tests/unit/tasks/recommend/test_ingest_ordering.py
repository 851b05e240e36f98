"""The rows of a range of users come out as a plain stable sort gives them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.tasks.recommend.ingest.ordering import (
    OrderingRules,
    Piece,
    cut_users,
    find_word_layout,
    sort_users,
)

Row = tuple[int, int, int]
"""user, item, time; the position in a list is the row of the file."""


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def sort(connection: duckdb.DuckDBPyConnection, rows: list[Row], rules: OrderingRules) -> Piece:
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
    connection.register("mixed", mixed)
    connection.execute("CREATE OR REPLACE TABLE numbered AS FROM mixed")
    layout = find_word_layout(connection, "numbered", num_items=int(columns[1].max()))
    users = (int(columns[0].min()), int(columns[0].max()))
    return sort_users(connection, users, layout, rules)


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
    rules = OrderingRules(min_interactions=1, find_duplicates=True, drop_duplicates=drop)
    found = sort(connection, rows, rules)
    columns = (np.repeat(found.users, found.lengths), found.items, found.times)
    expected = plain(rows, drop=drop)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert found.num_duplicates == len(rows) - len(set(rows))


def test_short_users_are_left_out(connection: duckdb.DuckDBPyConnection) -> None:
    rows = [(10, 1, 0), (10, 2, 1), (12, 3, 2), (13, 4, 3), (13, 5, 4), (14, 5, 5), (14, 5, 5)]
    rules = OrderingRules(min_interactions=2, find_duplicates=True, drop_duplicates=True)
    piece = sort(connection, rows, rules)
    assert piece.users.tolist() == [10, 13]
    assert piece.lengths.tolist() == [2, 2]
    assert piece.items.tolist() == [1, 2, 4, 5]
    assert piece.times.tolist() == [0, 1, 3, 4]
    assert piece.all_lengths.tolist() == [2, 0, 1, 2, 1]


@pytest.mark.parametrize("piece_rows", [1, 3, 7, 100])
def test_ranges_cover_every_user_once(piece_rows: int) -> None:
    rows = np.array([5, 1, 1, 1, 9, 1, 2, 2])
    ranges = cut_users(rows, piece_rows=piece_rows)
    assert [user for first, last in ranges for user in range(first, last + 1)] == list(range(8))
    sizes = [rows[first : last + 1].sum() for first, last in ranges]
    assert all(size < piece_rows + rows.max() for size in sizes)
