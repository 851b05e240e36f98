"""Ranks of held-out items and the metrics made of them; `METRICS` lists those.

The rank of a target is the number of candidates that score at least as high: it counts from 0 and
ties count against the model. Candidates are all items but those of the user's history; a target
that is in the history itself stays a candidate. Nothing is sorted: ranks come from counting.

Shapes: B batch (users), V items, S pairs of user and seen item. Column j of scores is item j + 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqtune.core.errors import TrainingError


class Metric(NamedTuple):
    """A metric `<name>@K` of one held-out item per user; a rank of K or more adds nothing to it."""

    gain: Callable[[Tensor, Tensor, int], Tensor]
    """What so many users fp64 [R], whose targets have these ranks fp64 [R], add up to at K."""
    direction: Literal["max", "min"] = "max"
    label: str = ""
    """How a report explains it, where that needs words."""
    is_default: bool = True
    """Whether it is measured without being monitored."""


METRICS: dict[str, Metric] = {
    "hit": Metric(lambda users, _ranks, _k: users),
    "ndcg": Metric(lambda users, ranks, _k: users / torch.log2(ranks + 2)),
    "mrr": Metric(lambda users, ranks, _k: users / (ranks + 1)),
    "recall": Metric(
        lambda users, _ranks, _k: users,
        label="share of the held-out items that are among the first K; as every user has one "
        "held-out item in each part, whatever the split, it equals hit@K",
        is_default=False,
    ),
}
"""By name. Training, evaluation and ensembles measure what stands here."""


def measured_metrics(monitor: str = "") -> tuple[str, ...]:
    """Names of the metrics to measure: the default ones, and what training monitors."""
    monitored, _ = parse_metric(monitor.partition("_")[2]) or ("", 0)
    return tuple(name for name, one in METRICS.items() if one.is_default or name == monitored)


def parse_metric(text: str) -> tuple[str, int] | None:
    """("ndcg", 10) of "ndcg@10"; None of anything else."""
    found = re.fullmatch(rf"({'|'.join(map(re.escape, METRICS))})@([1-9]\d*)", text)
    return (found[1], int(found[2])) if found else None


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
    return count_true(outranking(scores, targets, seen=seen))


def outranking(
    scores: Tensor,  # fp32 [B, V]
    targets: Tensor,  # int64 [B]
    *,
    seen: tuple[Tensor, Tensor] | None,  # rows and items, int64 [S] each
) -> Tensor:  # bool [B, V]
    """Which candidates score at least as high as the target; the target itself does not."""
    refuse_nan(scores)
    columns = (targets - 1).unsqueeze(1)  # [B, 1]
    before = scores >= scores.gather(1, columns)  # [B, V]
    if seen is not None:
        before[seen[0], seen[1] - 1] = False
    return before.scatter_(1, columns, value=False)


def count_true(rows: Tensor) -> Tensor:
    """How many are true in each row of a bool [B, V]: int64 [B]."""
    if rows.device.type == "cpu":  # ten times as fast as torch's sum of booleans
        return torch.from_numpy(np.count_nonzero(rows.numpy(), axis=1))
    return rows.sum(dim=1)


def ranking_metrics(
    ranks: Tensor,
    ks: Iterable[int],
    *,
    num_users: Tensor | None = None,
    names: Iterable[str] | None = None,
) -> dict[str, Tensor]:
    """Metrics *summed* over users, as fp64 scalars; the default ones, or those named.

    One user for each of `ranks` [B], or `num_users` [B] of them. Sums of batches and of devices
    add up; divided by the number of all users they are the metrics. `mean_metrics` gives those
    from counts of ranks, the same to the last bit whatever the order of batches.
    """
    places = (ranks.cpu() if ranks.device.type == "mps" else ranks).to(torch.float64)  # no fp64
    users = torch.ones_like(places) if num_users is None else num_users.to(places)
    names = measured_metrics() if names is None else tuple(names)
    return {
        f"{name}@{k}": (METRICS[name].gain(users, places, k) * (places < k)).sum()
        for k in ks
        for name in names
    }


def rank_counts(ranks: Tensor, ks: Iterable[int]) -> Tensor:
    """How many users have each rank below the largest K, and (last) all the others: int64 [K + 1].

    All that the metrics need of any number of users. Counts add up over batches and devices
    without rounding.
    """
    most = max(ks)
    return torch.bincount(ranks.clamp(max=most), minlength=most + 1)


def mean_metrics(
    counts: Tensor, ks: Iterable[int], *, names: Iterable[str] | None = None
) -> dict[str, float]:
    """The metrics of all users whose ranks were counted by `rank_counts`."""
    num_users = int(counts.sum())
    if not num_users:
        raise ValueError("no user was ranked, so there is no metric to report")
    places = torch.arange(len(counts), device=counts.device)
    sums = ranking_metrics(places, ks, num_users=counts, names=names)
    return {name: float(value) / num_users for name, value in sums.items()}


class Negatives(NamedTuple):
    """Items drawn to rank a target among."""

    columns: Tensor  # int64 [B, N], item - 1
    drawn: Tensor  # bool [B, N], False where fewer than N items were left


def draw_negatives(
    targets: Tensor,  # int64 [B]
    *,
    seen_rows: Tensor,
    seen_items: Tensor,
    weights: Tensor,  # [V], how readily an item is drawn
    num_negatives: int,
    generator: torch.Generator,
) -> Negatives:
    """Items drawn without replacement, never the target nor an item the user has seen.

    An item's arrival time is exponential with its weight as rate; the first to arrive are drawn.
    That is drawing one after another in proportion to the weights, for the whole batch at once.
    """
    shape = (len(targets), len(weights))
    bits = torch.empty(shape, dtype=torch.int32, device=targets.device)  # [B, V]
    share = bits.random_(generator=generator) / 2.0**31  # fine near 0, where the first arrive
    arrival = share.neg_().log1p_().neg_().div_(weights)
    arrival[seen_rows, seen_items - 1] = torch.inf
    arrival.scatter_(1, (targets - 1).unsqueeze(1), torch.inf)
    num_drawn = min(num_negatives, len(weights))
    first = arrival.topk(num_drawn, dim=1, largest=False, sorted=False)  # [B, N]
    return Negatives(first.indices, first.values.isfinite())


def sampled_ranks(before: Tensor, negatives: Negatives) -> Tensor:  # int64 [B]
    """The rank among the negatives alone; `before` bool [B, V] comes from `outranking`."""
    return (before.gather(1, negatives.columns) & negatives.drawn).sum(dim=1)


def refuse_nan(scores: Tensor) -> None:
    """NaN compares as false, so a broken model would rank every target first."""
    if bool(torch.isnan(scores.amax())):
        raise TrainingError(
            "the model gave scores that are not a number, so nothing can be ranked; lower "
            "training.lr or use training.precision=fp32 and train again"
        )
