"""Ranks of held-out items and the metrics made of them: HIT@K, NDCG@K, MRR@K.

The rank of a target is the number of candidates that score at least as high: it counts from 0 and
ties count against the model. Candidates are all items but those of the user's history; a target
that is in the history itself stays a candidate. Nothing is sorted: ranks come from counting.

Shapes: B batch (users), V items, S pairs of user and seen item. Column j of scores is item j + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from seqtune.contracts.errors import TrainingError


def target_ranks(
    scores: Tensor,  # fp32 [B, V]
    targets: Tensor,  # int64 [B], items 1..V
    *,
    seen_rows: Tensor,  # int64 [S], which user
    seen_items: Tensor,  # int64 [S], items 1..V; repeats are allowed
    exclude_seen: bool = True,
) -> Tensor:  # int64 [B]
    """How many candidates stand before each target, 0 for none."""
    seen = (seen_rows, seen_items) if exclude_seen else None
    return outranking(scores, targets, seen=seen).sum(dim=1)


def outranking(
    scores: Tensor,  # fp32 [B, V]
    targets: Tensor,  # int64 [B]
    *,
    seen: tuple[Tensor, Tensor] | None,  # rows and items, int64 [S] each
) -> Tensor:  # bool [B, V]
    """Which candidates score at least as high as the target; the target itself does not."""
    _refuse_nan(scores)
    columns = (targets - 1).unsqueeze(1)  # [B, 1]
    before = scores >= scores.gather(1, columns)  # [B, V]
    if seen is not None:
        before[seen[0], seen[1] - 1] = False
    return before.scatter_(1, columns, value=False)


def ranking_metrics(ranks: Tensor, ks: Iterable[int]) -> dict[str, Tensor]:
    """`hit@K`, `ndcg@K` and `mrr@K` *summed* over the users of `ranks` [B], as fp64 scalars.

    Sums of batches and of devices add up; divided by the number of users they are the metrics.
    `mean_metrics` gives those from counts of ranks, exactly and whatever the order of batches.
    """
    places = ranks.to(torch.float64)
    ndcg, mrr = 1 / torch.log2(places + 2), 1 / (places + 1)
    sums = {}
    for k in ks:
        hit = ranks < k
        sums[f"hit@{k}"] = hit.sum().to(torch.float64)
        sums[f"ndcg@{k}"] = (ndcg * hit).sum()
        sums[f"mrr@{k}"] = (mrr * hit).sum()
    return sums


def rank_counts(ranks: Tensor, ks: Iterable[int]) -> Tensor:
    """How many users have each rank below the largest K, and (last) all the others: int64 [K + 1].

    All that the metrics need of any number of users. Counts add up over batches and devices
    without rounding.
    """
    most = max(ks)
    return torch.bincount(ranks.clamp(max=most), minlength=most + 1)


def mean_metrics(counts: Tensor, ks: Iterable[int]) -> dict[str, float]:
    """The metrics of all users whose ranks were counted by `rank_counts`."""
    ks = tuple(ks)
    num_users = int(counts.sum())
    if not num_users:
        raise ValueError(
            "no user was ranked, so there is no metric; check the targets of the split"
        )
    places = torch.arange(len(counts), device=counts.device)
    sums = dict.fromkeys(ranking_metrics(places[:1], ks), 0.0)
    for place, count in zip(places.split(1), counts.tolist(), strict=True):
        for name, value in ranking_metrics(place, ks).items():
            sums[name] += count * float(value)
    return {name: value / num_users for name, value in sums.items()}


def sampled_ranks(
    before: Tensor,  # bool [B, V] of `outranking`
    targets: Tensor,  # int64 [B]
    *,
    seen_rows: Tensor,
    seen_items: Tensor,
    weights: Tensor,  # fp32 [V], how readily an item is drawn
    num_negatives: int,
    generator: torch.Generator,
) -> Tensor:  # int64 [B]
    """The rank among `num_negatives` items drawn without replacement, never seen nor the target.

    An item's arrival time is exponential with its weight as rate; the first to arrive are drawn.
    That is drawing one after another in proportion to the weights, for the whole batch at once.
    Where fewer items are left than wanted, all of them are drawn.
    """
    arrival = torch.empty(before.shape, device=before.device)  # [B, V]
    arrival.exponential_(generator=generator).div_(weights)
    arrival[seen_rows, seen_items - 1] = torch.inf
    arrival.scatter_(1, (targets - 1).unsqueeze(1), torch.inf)
    num_drawn = min(num_negatives, before.shape[1])
    first = arrival.topk(num_drawn, dim=1, largest=False, sorted=False)  # [B, num_drawn]
    return (before.gather(1, first.indices) & first.values.isfinite()).sum(dim=1)


def labelled(metrics: Mapping[str, float], label: str) -> dict[str, float]:
    """The same metrics under `label/`, so that sampled ones are never taken for full ones."""
    return {f"{label}/{name}": value for name, value in metrics.items()}


def _refuse_nan(scores: Tensor) -> None:
    """NaN compares as false, so a broken model would rank every target first."""
    if bool(torch.isnan(scores.amax())):
        raise TrainingError(
            "the model gave scores that are not a number, so nothing can be ranked; lower "
            "training.lr or use training.precision=fp32 and train again"
        )
