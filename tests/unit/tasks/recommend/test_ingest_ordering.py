"""Sorting by packed words gives what a stable sort by several keys gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtune.tasks.recommend.ingest.ordering import Rules, order_piece, stable_order, user_ranges

WIDTHS = st.tuples(st.integers(1, 62), st.integers(1, 62))


@given(st.data(), WIDTHS, st.integers(1, 60))
def test_stable_order_is_a_stable_sort(
    data: st.DataObject, widths: tuple[int, int], num_rows: int
) -> None:
    """Also where the keys take more bits than a word has, and several rounds are needed."""
    keys = []
    for bits in widths:
        values = st.sampled_from([0, 1, 2**bits - 1, 2 ** (bits - 1), 2**bits // 3])
        drawn = data.draw(st.lists(values, min_size=num_rows, max_size=num_rows))
        keys.append((np.array(drawn, dtype=np.int64), bits))
    before = [values.copy() for values, _ in keys]
    order = stable_order(keys, num_rows)
    assert order.tolist() == np.lexsort([values for values, _ in keys]).tolist()
    assert all((values == old).all() for (values, _), old in zip(keys, before, strict=True))


def test_a_join_may_hand_its_rows_back_in_any_order() -> None:
    rng = np.random.default_rng(0)
    user, item = (rng.integers(0, 9, 500).astype(np.int32) for _ in range(2))
    time, row = rng.integers(0, 5, 500), np.arange(500)
    rules = Rules(min_interactions=1, find_duplicates=True, drop_duplicates=True)
    expected = order_piece(user, item, time, row, rules)
    mixed = rng.permutation(500)
    found = order_piece(user[mixed], item[mixed], time[mixed], row[mixed], rules)
    assert (found.items == expected.items).all()
    assert (found.times == expected.times).all()
    assert set(found.duplicates) == set(expected.duplicates)


def test_times_of_any_size() -> None:
    time = np.array([2**62, -(2**61), 0], dtype=np.int64)
    piece = order_piece(
        np.zeros(3, np.int32),
        np.array([1, 2, 3], np.int32),
        time,
        np.arange(3),
        Rules(min_interactions=1, find_duplicates=True, drop_duplicates=True),
    )
    assert piece.items.tolist() == [2, 3, 1]


@pytest.mark.parametrize("piece_rows", [1, 3, 7, 100])
def test_ranges_cover_every_user_once(piece_rows: int) -> None:
    rows = np.array([5, 1, 1, 1, 9, 1, 2, 2])
    ranges = user_ranges(rows, piece_rows=piece_rows)
    assert [user for first, last in ranges for user in range(first, last + 1)] == list(range(8))
    sizes = [rows[first : last + 1].sum() for first, last in ranges]
    assert all(size < piece_rows + rows.max() for size in sizes)
