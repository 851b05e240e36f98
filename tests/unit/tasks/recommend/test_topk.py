"""Lists of the best, without what may not be recommended."""

import numpy as np
import pytest
import torch

from seqtune.core.errors import TrainingError
from seqtune.tasks.recommend.topk import by_popularity, top_k

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
    with pytest.raises(TrainingError, match="NaN scores"):
        top_k(torch.tensor([[1.0, float("nan")]]), 1)


def test_popular_items_are_ordered_by_count_then_number():
    counts = np.array([0, 3, 7, 3, 0, 7])
    assert by_popularity(counts).tolist() == [2, 5, 1, 3, 4]


@pytest.mark.parametrize("num_items", [5, 64, 2560, 2561, 4000])
@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_lists_of_large_catalogues_are_those_of_a_full_sort(num_items, k, dtype):
    generator = torch.Generator().manual_seed(num_items)
    scores = torch.stack([torch.randperm(num_items, generator=generator) for _ in range(6)])
    scores[5] = torch.arange(num_items)  # the best are the last
    items = torch.randint(1, num_items + 1, (300,), generator=generator)
    exclude = (torch.arange(300) % 6, items)
    allowed = torch.rand(num_items, generator=generator) < 0.9
    kept = allowed.repeat(6, 1)
    kept[exclude[0], items - 1] = False
    lists = top_k(scores.to(dtype), k, exclude=exclude, allowed=allowed)
    for row in range(6):
        columns = kept[row].nonzero().squeeze(1)
        best = columns[scores[row, columns].argsort(descending=True)][: min(k, num_items)] + 1
        found = lists.items[row]
        assert found[found > 0].tolist() == best.tolist()
        assert lists.scores[row, found > 0].tolist() == scores[row, best - 1].tolist()


def test_of_equal_scores_none_comes_twice():
    lists = top_k(torch.zeros(3, 4000), 10)
    assert all(len(set(row)) == 10 for row in lists.items.tolist())


def test_a_score_that_is_no_number_raises_in_large_catalogues_too():
    scores = torch.zeros(2, 4000)
    scores[1, 3999] = float("nan")
    with pytest.raises(TrainingError, match="NaN scores"):
        top_k(scores, 1)
