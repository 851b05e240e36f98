"""Lists of the best, without what may not be recommended."""

import numpy as np
import pytest
import torch

from seqtune.contracts.errors import TrainingError
from seqtune.tasks.recommend.lists import most_popular, top_k

SCORES = [0.1, 0.9, 0.5, 0.7, 0.3]  # items in order of score: 2, 4, 3, 5, 1


def test_best_items_come_first():
    lists = top_k(torch.tensor([SCORES, SCORES[::-1]]), 3)
    assert lists.items.tolist() == [[2, 4, 3], [4, 2, 3]]
    assert lists.scores[0].tolist() == pytest.approx([0.9, 0.7, 0.5])


def test_excluded_items_do_not_appear_even_where_nothing_else_is_left():
    exclude = (torch.tensor([0, 0, 0, 0]), torch.tensor([2, 3, 5, 2]))
    lists = top_k(torch.tensor([SCORES, SCORES]), 4, exclude=exclude)
    assert lists.items.tolist() == [[4, 1, 0, 0], [2, 4, 3, 5]]


def test_only_allowed_items_appear():
    allowed = torch.tensor([True, False, False, True, True])
    lists = top_k(torch.tensor([SCORES]), 5, allowed=allowed)
    assert lists.items.tolist() == [[4, 5, 1, 0, 0]]


def test_whole_numbers_are_scores_too():
    exclude = (torch.tensor([0]), torch.tensor([3]))
    lists = top_k(torch.tensor([[4, 0, 9]]), 3, exclude=exclude)
    assert lists.items.tolist() == [[1, 2, 0]]


def test_no_list_is_longer_than_the_catalogue():
    assert top_k(torch.tensor([SCORES]), 99).items.shape == (1, 5)


def test_a_score_that_is_no_number_raises():
    with pytest.raises(TrainingError, match="not a number"):
        top_k(torch.tensor([[1.0, float("nan")]]), 1)


def test_popular_items_are_ordered_by_count_then_number():
    counts = np.array([0, 3, 7, 3, 0, 7])
    assert most_popular(counts, 4).tolist() == [2, 5, 1, 3]
    allowed = np.array([True, False, True, True, False])
    assert most_popular(counts, 4, allowed=allowed).tolist() == [1, 3, 4]
