"""Quotas and diversity on candidates, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seqtune.tasks.recommend.rules import Candidates, Quota, Selection, pad_values, select

# values of items 1..6: item 3 has two, item 6 none
GENRES = np.array([[0, 0], [1, 0], [1, 0], [1, 2], [2, 0], [3, 0], [0, 0]])


def candidates(*rows: list[int]) -> Candidates:
    items = np.array(rows)
    scores = np.where(items > 0, np.linspace(1.0, 0.1, items.shape[1]), -np.inf)
    return Candidates(items, scores)


def chosen(found: Candidates, k: int, **how: Any) -> list[list[int]]:
    return select(found, k, Selection(**how)).items.tolist()


def test_without_rules_the_best_are_chosen() -> None:
    assert chosen(candidates([3, 1, 2], [5, 4, 0]), 2) == [[3, 1], [5, 4]]
    assert chosen(candidates([3, 1, 2], [5, 0, 0]), 2) == [[3, 1], [5, 0]]


def test_a_quota_passes_over_items_whose_value_is_full() -> None:
    # 1 and 2 share a value; 3 has that one and another; 6 has none and is always allowed
    found = candidates([1, 2, 3, 4, 5, 6], [3, 4, 1, 6, 5, 2])
    assert chosen(found, 3, quotas=(Quota(GENRES, 1),)) == [[1, 4, 5], [3, 6, 5]]
    assert chosen(found, 3, quotas=(Quota(GENRES, 2),)) == [[1, 2, 4], [3, 4, 1]]


def test_a_list_is_shorter_where_the_quota_leaves_nothing() -> None:
    lists = select(candidates([1, 2, 3]), 3, Selection(quotas=(Quota(GENRES, 1),)))
    assert lists.items.tolist() == [[1, 0, 0]]
    assert lists.scores.tolist() == [[1.0, -np.inf, -np.inf]]


def test_several_quotas_hold_together() -> None:
    other = np.array([[0], [7], [0], [0], [7], [7], [0]])
    quotas = (Quota(GENRES, 1), Quota(other, 1))
    assert chosen(candidates([1, 2, 4, 5, 6]), 3, quotas=quotas) == [[1, 6, 0]]


def test_marginal_relevance_by_hand() -> None:
    # 1 and 2 have the same vector, 3 is at a right angle to them
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = Candidates(np.array([[1, 2, 3]]), np.array([[10.0, 8.0, 0.0]]))
    # relevance 1, 0.8, 0. After 1: item 2 has (1 - d) 0.8 - d, item 3 has 0: equal at d = 4/9
    assert chosen(found, 2, diversity=0.44, vectors=vectors) == [[1, 2]]
    assert chosen(found, 2, diversity=0.45, vectors=vectors) == [[1, 3]]
    lists = select(found, 3, Selection(diversity=0.45, vectors=vectors))
    assert lists.scores.tolist() == [[10.0, 0.0, 8.0]]


def test_what_is_similar_to_any_item_of_the_list_counts() -> None:
    # 3 resembles the first item of the list, not the second: the higher similarity counts
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    found = Candidates(np.array([[1, 2, 3, 4]]), np.array([[4.0, 3.0, 1.0, 0.0]]))
    assert chosen(found, 3, diversity=0.6, vectors=vectors) == [[1, 4, 2]]
    assert chosen(found, 4, diversity=0.3, vectors=vectors) == [[1, 2, 4, 3]]


def test_quotas_and_diversity_agree_with_a_loop_over_users() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(41, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values = generator.integers(0, 5, size=(41, 1))
    items = np.stack([generator.permutation(np.arange(1, 41))[:20] for _ in range(30)])
    scores = -np.sort(-generator.normal(size=items.shape), axis=1)
    how = Selection((Quota(values, 2),), 0.5, vectors)
    found = select(Candidates(items, scores), 6, how)
    for row in range(len(items)):
        relevance = (scores[row] - scores[row].min()) / np.ptp(scores[row])
        mine: list[int] = []
        for _ in range(6):
            options = [
                (
                    0.5 * relevance[place]
                    - 0.5 * max((vectors[item] @ vectors[one] for one in mine), default=0.0),
                    -place,
                )
                for place, item in enumerate(items[row])
                if item not in mine
                and (
                    values[item, 0] == 0
                    or sum(values[one, 0] == values[item, 0] for one in mine) < 2
                )
            ]
            mine.append(int(items[row][-max(options)[1]]))
        assert found.items[row].tolist() == mine


def test_values_of_a_side_table_as_a_matrix() -> None:
    padded = pad_values(np.array([4, 1, 2]), np.array([0, 0, 1, 1, 3]))
    assert padded.tolist() == [[0, 0], [4, 0], [0, 0], [1, 2]]
    assert pad_values(np.array([], np.int64), np.array([0, 0, 0])).tolist() == [[0], [0]]


@pytest.mark.parametrize("k", [1, 3])
def test_no_item_is_listed_twice(k: int) -> None:
    for row in chosen(candidates([2, 1, 4, 5, 6, 0]), k, quotas=(Quota(GENRES, 2),)):
        assert len(set(row)) == len(row)
