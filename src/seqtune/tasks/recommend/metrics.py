"""Ranks of held-out items, and the metrics computed from them (`METRICS`).

The rank of a target is the number of candidates that score at least as high: 0 is best, and ties
count against the model. Candidates are all items except the user's history; a target that occurs
in the history remains a candidate. Ranks are counted without sorting.

Shapes: B batch (users), V items, S pairs of user and seen item. Column j of scores is item j + 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtune.core.errors import ConfigurationError, TrainingError

Floats = npt.NDArray[np.float64]
DEFAULT_METRIC = "ndcg@10"
"""The metric of comparisons if training does not monitor a ranking metric to maximise."""


class Metric(NamedTuple):
    """A metric `<name>@K` of one held-out item per user; ranks from K on contribute nothing."""

    gain: Callable[[Tensor, Tensor, int], Tensor]
    """(number of users fp64 [R], their rank fp64 [R], K) -> their summed metric [R]."""
    direction: Literal["max", "min"] = "max"
    label: str = ""
    """Its explanation in a report, if it needs one."""
    is_default: bool = True
    """Whether it is measured even when not monitored."""


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
"""The metrics of training, evaluation and ensembles, by name."""


def measured_metrics(monitor: str = "") -> tuple[str, ...]:
    """Return the metrics to measure: the default ones and the monitored one."""
    monitored, _ = parse_metric(monitor.partition("_")[2]) or ("", 0)
    return tuple(name for name, one in METRICS.items() if one.is_default or name == monitored)


def logged_metrics(config: Any) -> dict[str, Literal["max", "min"]]:
    """Return what training logs, and whether higher or lower is better."""
    parts = ("val", "train") if config.evaluation.train_metric_users else ("val",)
    names = [(part, name, k) for part in parts for name in METRICS for k in config.evaluation.ks]
    return {
        "train_loss": "min",
        **{f"{part}_{name}@{k}": METRICS[name].direction for part, name, k in names},
    }


def parse_metric(text: str) -> tuple[str, int] | None:
    """Return ("ndcg", 10) for "ndcg@10", None for anything else."""
    found = re.fullmatch(rf"({'|'.join(map(re.escape, METRICS))})@([1-9]\d*)", text)
    return (found[1], int(found[2])) if found else None


def monitored_metric(config: Any) -> str:
    """Return the ranking metric that training monitors, such as "ndcg@10"."""
    name = config.training.monitor.removeprefix("val_")
    parsed = parse_metric(name)
    return name if parsed and METRICS[parsed[0]].direction == "max" else DEFAULT_METRIC


def rank_gains(metric: str) -> Floats:
    """Return what each rank below K contributes to a metric, and (last) the 0 of all others."""
    parsed = parse_metric(metric)
    if parsed is None:
        raise ConfigurationError(
            f"{metric!r} is not a metric; choose one of {', '.join(METRICS)} with @K, such as "
            f"{DEFAULT_METRIC}"
        )
    name, k = parsed
    gains = [ranking_metrics(rank[None], [k], names=[name])[metric] for rank in torch.arange(k + 1)]
    return np.array([float(gain) for gain in gains])


def target_ranks(
    scores: Tensor,  # fp32 [B, V]
    targets: Tensor,  # int64 [B], items 1..V
    *,
    seen_rows: Tensor,  # int64 [S], which user
    seen_items: Tensor,  # int64 [S], items 1..V; repeats are allowed
    exclude_seen: bool = True,
) -> Tensor:  # int64 [B]
    """Return how many candidates rank before each target."""
    seen = (seen_rows, seen_items) if exclude_seen else None
    return count_true(outranking(scores, targets, seen=seen))


def outranking(
    scores: Tensor,  # fp32 [B, V]
    targets: Tensor,  # int64 [B]
    *,
    seen: tuple[Tensor, Tensor] | None,  # rows and items, int64 [S] each
) -> Tensor:  # bool [B, V]
    """Mark the candidates that score at least as high as the target, except itself."""
    refuse_nan(scores)
    columns = (targets - 1).unsqueeze(1)  # [B, 1]
    before = scores >= scores.gather(1, columns)  # [B, V]
    if seen is not None:
        before[seen[0], seen[1] - 1] = False
    return before.scatter_(1, columns, value=False)


def count_true(rows: Tensor) -> Tensor:
    """Count the true values in each row of bool [B, V]: int64 [B]."""
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
    """Return metrics *summed* over users, as fp64 scalars; the default ones, or those named.

    Each rank [B] counts for one user, or for `num_users` [B]. `mean_metrics` computes the means
    from counts of ranks, bit for bit independent of the order of batches.
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
    """Count the users at each rank below the largest K, and (last) all others: int64 [K + 1].

    The metrics need nothing else, and counts add up over batches and devices without rounding.
    """
    most = max(ks)
    return torch.bincount(ranks.clamp(max=most), minlength=most + 1)


def mean_metrics(
    counts: Tensor, ks: Iterable[int], *, names: Iterable[str] | None = None
) -> dict[str, float]:
    """Return the mean metrics of the users counted by `rank_counts`."""
    num_users = int(counts.sum())
    if not num_users:
        raise ValueError("no user was ranked, so there are no metrics")
    places = torch.arange(len(counts), device=counts.device)
    sums = ranking_metrics(places, ks, num_users=counts, names=names)
    return {name: float(value) / num_users for name, value in sums.items()}


class Negatives(NamedTuple):
    """Items drawn to rank each target against."""

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
    """Draw items without replacement in proportion to `weights`, never the target or a seen item.

    Each item gets an exponential arrival time with its weight as rate; the first to arrive are
    drawn. This equals drawing one after another, but handles the whole batch at once.
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
    """Return the rank among the negatives; `before` bool [B, V] comes from `outranking`."""
    return (before.gather(1, negatives.columns) & negatives.drawn).sum(dim=1)


def refuse_nan(scores: Tensor) -> None:
    """Refuse NaN: it compares as false, so a broken model would rank every target first."""
    if bool(torch.isnan(scores.amax())):
        raise TrainingError(
            "the model produced NaN scores, so nothing can be ranked; lower training.lr or use "
            "training.precision=fp32 and train again"
        )
