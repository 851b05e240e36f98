"""Metrics against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from seqtune.core.errors import TrainingError
from seqtune.tasks.recommend.metrics import (
    draw_negatives,
    mean_metrics,
    outranking,
    rank_counts,
    ranking_metrics,
    sampled_ranks,
    target_ranks,
)

NOTHING = torch.empty(0, dtype=torch.int64)
KS = (1, 5, 10, 20)


def ranks(scores, targets, seen=(), *, exclude_seen=True):
    rows, items = zip(*seen, strict=True) if seen else ((), ())
    return target_ranks(
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(targets),
        seen_rows=torch.tensor(rows, dtype=torch.int64),
        seen_items=torch.tensor(items, dtype=torch.int64),
        exclude_seen=exclude_seen,
    ).tolist()


SCORES = [0.1, 0.9, 0.5, 0.7, 0.3]  # items in order of score: 2, 4, 3, 5, 1


@pytest.mark.parametrize(("target", "rank"), [(2, 0), (4, 1), (3, 2), (5, 3), (1, 4)])
def test_rank_counts_the_items_above_the_target(target, rank):
    assert ranks([SCORES], [target]) == [rank]


def test_seen_items_are_no_candidates():
    assert ranks([SCORES], [3], seen=[(0, 2)]) == [1]
    assert ranks([SCORES], [3], seen=[(0, 2), (0, 4), (0, 1)]) == [0]


def test_seen_items_count_where_the_switch_says_so():
    assert ranks([SCORES], [3], seen=[(0, 2)], exclude_seen=False) == [2]


def test_an_item_seen_twice_is_taken_out_once():
    assert ranks([SCORES], [5], seen=[(0, 2), (0, 2), (0, 2)]) == [2]


def test_a_target_in_the_history_stays_a_candidate():
    assert ranks([SCORES], [4], seen=[(0, 4)]) == [1]
    assert ranks([SCORES], [4], seen=[(0, 4), (0, 2)]) == [0]


def test_ties_count_against_the_model():
    assert ranks([[0.5, 0.5, 0.5, 0.5, 0.5]], [3]) == [4]
    assert ranks([[0.5, 0.9, 0.5, 0.1, 0.1]], [1]) == [2]
    assert ranks([[0.5, 0.9, 0.5, 0.1, 0.1]], [1], seen=[(0, 3)]) == [1]


def test_rows_do_not_mix():
    assert ranks([SCORES, SCORES[::-1]], [2, 2], seen=[(1, 4)]) == [0, 0]
    assert ranks([SCORES, SCORES[::-1]], [2, 2], seen=[(0, 4)]) == [0, 1]


def test_infinite_scores_are_ranked():
    assert ranks([[float("-inf"), 1.0, float("inf")]], [2]) == [1]


@pytest.mark.parametrize("broken", [0, 3, 4])
def test_a_score_that_is_no_number_raises(broken):
    scores = list(SCORES)
    scores[broken] = float("nan")
    with pytest.raises(TrainingError, match="NaN scores"):
        ranks([SCORES, scores], [1, 1])


def test_ranks_agree_with_sorting():
    rng = np.random.default_rng(7)
    scores = rng.permutation(40 * 60).reshape(40, 60).astype(np.float32)
    targets = rng.integers(1, 61, size=40)
    seen = [(row, item) for row in range(40) for item in rng.integers(1, 61, size=9)]
    expected = []
    for row in range(40):
        out = {item for r, item in seen if r == row} - {targets[row]}
        order = [j + 1 for j in np.argsort(-scores[row]) if j + 1 not in out]
        expected.append(order.index(targets[row]))
    assert ranks(scores, targets, seen=seen) == expected


def test_metrics_of_single_ranks():
    at_0 = ranking_metrics(torch.tensor([0]), KS)
    assert {float(value) for value in at_0.values()} == {1.0}
    at_1 = ranking_metrics(torch.tensor([1]), KS)
    assert float(at_1["hit@1"]) == float(at_1["ndcg@1"]) == float(at_1["mrr@1"]) == 0.0
    assert float(at_1["ndcg@5"]) == pytest.approx(1 / np.log2(3), rel=1e-15)
    assert float(at_1["mrr@5"]) == 0.5
    at_10 = ranking_metrics(torch.tensor([10]), KS)  # the first rank outside of 10
    assert float(at_10["hit@10"]) == float(at_10["ndcg@10"]) == float(at_10["mrr@10"]) == 0.0
    assert float(at_10["hit@20"]) == 1.0
    assert float(at_10["ndcg@20"]) == pytest.approx(1 / np.log2(12), rel=1e-15)
    assert float(at_10["mrr@20"]) == pytest.approx(1 / 11, rel=1e-15)


def test_metrics_are_summed_over_users():
    sums = ranking_metrics(torch.tensor([0, 2, 4, 7]), KS)
    assert float(sums["hit@5"]) == 3.0
    assert float(sums["ndcg@5"]) == pytest.approx(1 + 1 / 2 + 1 / np.log2(6), rel=1e-15)
    assert float(sums["mrr@5"]) == pytest.approx(1 + 1 / 3 + 1 / 5, rel=1e-15)
    assert float(sums["hit@10"]) == 4.0


def test_means_from_counts_are_the_sums_divided_by_the_users():
    given = torch.tensor([0, 0, 3, 9, 10, 19, 20, 3000])
    counts = rank_counts(given, KS)
    assert counts.tolist() == [2, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, *[0] * 8, 1, 2]
    means = mean_metrics(counts, KS)
    assert means["hit@10"] == 4 / 8
    assert means["hit@20"] == 6 / 8
    assert means["ndcg@10"] == pytest.approx((2 + 1 / np.log2(5) + 1 / np.log2(11)) / 8, rel=1e-14)
    assert means["mrr@1"] == 2 / 8
    assert list(means) == [f"{name}@{k}" for k in KS for name in ("hit", "ndcg", "mrr")]


def test_counts_of_batches_add_up_to_the_same_bits():
    given = torch.randint(0, 40, (997,), generator=torch.Generator().manual_seed(1))
    whole = mean_metrics(rank_counts(given, KS), KS)
    parts = sum(rank_counts(part, KS) for part in given.flip(0).split(64))
    assert mean_metrics(parts, KS) == whole


def test_no_users_is_no_metric():
    with pytest.raises(ValueError, match="no user was ranked"):
        mean_metrics(rank_counts(NOTHING, KS), KS)


def sampled(scores, targets, seen, *, weights, num, seed=0):
    rows, items = (torch.tensor(column) for column in zip(*seen, strict=True))
    targets = torch.tensor(targets)
    negatives = draw_negatives(
        targets,
        seen_rows=rows,
        seen_items=items,
        weights=torch.tensor(weights),
        num_negatives=num,
        generator=torch.Generator().manual_seed(seed),
    )
    before = outranking(torch.tensor(scores), targets, seen=(rows, items))
    return sampled_ranks(before, negatives)


def test_drawing_all_candidates_gives_the_full_rank():
    assert sampled([SCORES], [5], [(0, 2)], weights=[1.0] * 5, num=100).tolist() == [2]


def test_items_of_no_weight_are_never_drawn():
    for seed in range(20):
        rank = sampled([SCORES], [5], [(0, 1)], weights=[1.0, 0.0, 1.0, 0.0, 1.0], num=4, seed=seed)
        assert rank.tolist() == [1]  # of 2, 4 and 3 above it, only 3 can be drawn


def test_seen_items_and_the_target_are_not_drawn():
    targets = torch.tensor([5, 1])
    negatives = draw_negatives(
        targets,
        seen_rows=torch.tensor([0, 0]),
        seen_items=torch.tensor([2, 4]),
        weights=torch.ones(5),
        num_negatives=4,
        generator=torch.Generator().manual_seed(0),
    )
    drawn = [
        sorted(row[mask].add(1).tolist())
        for row, mask in zip(negatives.columns, negatives.drawn, strict=True)
    ]
    assert drawn == [[1, 3], [2, 3, 4, 5]]
    # also where the switch makes seen items candidates of the full ranking
    before = outranking(torch.tensor([SCORES, SCORES]), targets, seen=None)
    assert sampled_ranks(before, negatives).tolist() == [1, 4]


def test_sampled_ranks_have_the_distribution_of_drawing_without_replacement():
    num_rows = 20_000
    scores = [[5.0, 4.0, 3.0, 2.0, 1.0]] * num_rows
    # target: item 3; candidates 1, 2 (above it) and 4; item 5 is seen
    seen = [(row, 5) for row in range(num_rows)]
    drawn = sampled(scores, [3] * num_rows, seen, weights=[3.0, 1.0, 9.0, 2.0, 9.0], num=2)
    # both above are drawn: 1 then 2, or 2 then 1
    both = 3 / 6 * 1 / 3 + 1 / 6 * 3 / 5
    share = (drawn == 2).double().mean().item()
    assert share == pytest.approx(both, abs=4 * np.sqrt(both * (1 - both) / num_rows))
    assert (drawn >= 1).all()


def test_sampled_ranks_repeat_with_the_seed():
    scores = torch.rand(4, 50, generator=torch.Generator().manual_seed(3)).tolist()
    draw = {"weights": [1.0] * 50, "num": 10}
    first = sampled(scores, [1, 2, 3, 4], [(0, 9)], **draw, seed=5)
    assert torch.equal(first, sampled(scores, [1, 2, 3, 4], [(0, 9)], **draw, seed=5))
