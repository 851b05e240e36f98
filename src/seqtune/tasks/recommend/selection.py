"""The selection that the parameters ask for, and what it costs on the validation items.

Shapes: B batch (users), U users of valid, V items, K length of a list.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqtune.core.bootstrap import LEVEL, Floats, paired_tests
from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.seeds import derive_seed
from seqtune.core.task import Report

from .batches import evaluation, users_at_once
from .data import Int64, SplitData
from .ensemble import Scorer
from .explain import unit_vectors
from .metrics import rank_gains
from .params import PredictConfig
from .rules import Quota, Selection, pad_values
from .sequences import ListRequest, best_lists
from .user_metrics import HeldOutItems

MOST_USERS = 10_000
"""Users of valid, evenly spaced, on which the cost is measured."""
WITHOUT, WITH = "without", "with"


def wanted_selection(settings: PredictConfig, data: SplitData, loaded: Scorer) -> Selection | None:
    """Return how to choose among candidates; None: by score alone."""
    limits = settings.quotas.limits
    for name in limits:
        if name not in data.sides:
            hint = did_you_mean(name, list(data.sides)) if data.sides else "it has none"
            raise ConfigurationError(
                f"recommend.predict.quotas: {name!r} is not a side table of this split; {hint}"
            )
    if not limits and not settings.diversity:
        return None
    sides = [(data.sides[name], most) for name, most in limits.items()]
    return Selection(
        quotas=tuple(Quota(pad_values(side.values, side.offsets), most) for side, most in sides),
        diversity=settings.diversity,
        vectors=unit_vectors(loaded.heaviest()[0]) if settings.diversity else None,
        num_candidates=settings.candidates,
    )


def cost_on_valid(loaded: Scorer, data: SplitData, wanted: ListRequest) -> Report:
    """Return NDCG of the lists with and without the selection; empty if nothing is held out."""
    held_out = HeldOutItems.of(data, "valid")
    rows = _evenly(len(held_out.users))
    if not len(rows) or wanted.selection is None:
        return {}
    requests = {WITH: wanted, WITHOUT: replace(wanted, selection=None)}
    gains = rank_gains(f"ndcg@{wanted.top_k}")
    found: dict[str, list[Floats]] = {name: [] for name in requests}
    batches = evaluation(data, "valid", max_len=loaded.max_len)
    size = users_at_once(wanted.batch_size, num_items=data.num_items)
    for start in range(0, len(rows), size):
        batch = batches[rows[start : start + size]].to(loaded.device)
        is_other = batch.seen_items != batch.targets[batch.seen_rows]  # it stays a candidate
        seen = (batch.seen_rows[is_other], batch.seen_items[is_other])
        scores, targets = loaded.scores(batch.inputs), batch.targets.cpu().numpy()
        for name, request in requests.items():
            exclude = seen if request.exclude_seen else None
            lists = best_lists(scores.clone(), request, np.arange(len(targets)), seen=exclude)
            found[name].append(gains[_ranks(lists.items, targets, unlisted=len(gains) - 1)])
    values = {name: np.concatenate(each) for name, each in found.items()}
    seed = derive_seed(loaded.config.seed, "cost of rules")
    (test,) = paired_tests(values, [(WITH, WITHOUT)], seed=seed)
    return {
        "metric": f"valid ndcg@{wanted.top_k}",
        "users": len(rows),
        **{name: float(each.mean()) for name, each in values.items()},
        "difference": test.difference,
        "low": test.low,
        "high": test.high,
    }


def _ranks(items: Int64, targets: Int64, *, unlisted: int) -> Int64:
    """Return the place of each target [B] in its list [B, K]."""
    hits = items == targets[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1), unlisted)


def describe_cost(cost: Report) -> str:
    """Say in one line what quotas and diversity cost."""
    if not cost:
        return "what quotas and diversity cost is not measured: nothing is held out"
    return (
        f"quotas and diversity change {cost['metric']} from {cost[WITHOUT]:.4f} to "
        f"{cost[WITH]:.4f} ({cost['difference']:+.4f}, {LEVEL:.0%} interval {cost['low']:+.4f} to "
        f"{cost['high']:+.4f})"
    )


def _evenly(num_users: int) -> Int64:
    return np.unique(np.linspace(0, num_users - 1, min(num_users, MOST_USERS)).astype(np.int64))
