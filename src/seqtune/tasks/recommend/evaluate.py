"""Evaluate a checkpoint or an ensemble on the held-out items, next to baselines.

Shapes: B batch (users), V items. Column j of scores is item j + 1.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from seqtune.core.metrics import (
    EXHIBITS,
    compare_with_baselines,
    dump_report_items,
    wanted_parts,
)
from seqtune.core.row_metrics import RowMetrics, compare_with_others
from seqtune.core.seeds import derive_seed
from seqtune.core.task import OURS, Report

from .baselines import BASELINES, Baselines
from .batches import EvalBatch, Part, eval_batches
from .cooccurrence import last_items
from .data import SplitData
from .ensemble import Scorer, open_model
from .metric_accumulator import (
    DEFINITIONS,
    LIST_LENGTH,
    MetricAccumulator,
    popularity_percentiles,
)
from .metrics import (
    METRICS,
    Negatives,
    count_true,
    draw_negatives,
    measured_metrics,
    monitored_metric,
    outranking,
    sampled_ranks,
)
from .params import RecommendConfig
from .topk import top_k
from .user_metrics import user_metrics

UNIFORM = "sampled_uniform"
BY_POPULARITY = "sampled_popularity"


def evaluate(checkpoint: Path, data: SplitData, *, parts: Collection[str] | None = None) -> Report:
    """Return a JSON-ready report on the best weights, on valid and test or on some of `parts`.

    `checkpoint` may be the folder of an ensemble.
    """
    loaded = open_model(checkpoint)
    loaded.require_assets(data.assets_hash, what=str(data.path))
    loaded.warn_of_other_split(data, rows="items")
    baselines = Baselines.of(data, device=loaded.device)
    exist: dict[Part, bool] = {"valid": data.has_validation, "test": data.has_test}
    wanted = wanted_parts([part for part in exist if exist[part]], parts)
    scored = {part: _part(loaded, data, baselines, part) for part in exist if part in wanted}
    found = {part: report for part, (report, _) in scored.items()}
    rows = [by_user for _, by_user in scored.values()]
    lines, items = compare_with_others(rows, who=loaded.kind, seed=loaded.config.seed)
    config, names = loaded.config, measured_metrics(loaded.config.training.monitor)
    labels = {f"{name}@K": METRICS[name].label for name in names if METRICS[name].label}
    return {
        "headline": [*(part["verdict"] for part in found.values()), *lines],
        **loaded.identity(),
        "data_hash": data.content_hash,
        "protocol": describe_protocol(
            config, num_negatives=config.evaluation.num_sampled_negatives
        ),
        "definitions": DEFINITIONS | labels,
        **loaded.configuration(),
        "num_users": data.num_users,
        "num_items": data.num_items,
        "parts": found,
        EXHIBITS: dump_report_items(items),
    }


def _part(
    loaded: Scorer, data: SplitData, baselines: Baselines, part: Part
) -> tuple[Report, RowMetrics]:
    """Compute all metrics of the model and the baselines over the users of one part."""
    config = loaded.config
    percentiles = popularity_percentiles(data.train_counts)
    accumulators = {
        name: MetricAccumulator(config, percentiles, device=loaded.device)
        for name in (OURS, *BASELINES)
    }
    size = config.evaluation.batch_size
    batches = eval_batches(data, part, max_len=loaded.max_len, batch_size=size)
    users = []
    for number, on_cpu in enumerate(batches):
        batch = on_cpu.to(loaded.device)
        users.append(on_cpu.users)
        contexts = last_items(batch.inputs)
        draws = _draws(config, baselines, batch, part=part, number=number)
        for name, accumulator in accumulators.items():
            if name == OURS:
                scores = loaded.scores(batch.inputs)
            else:
                scores = baselines.scores(name, contexts)
            _add(accumulator, scores, batch, draws, exclude_seen=config.evaluation.exclude_seen)
    order = torch.cat(users).argsort().numpy()
    ranks = {name: accumulator.user_ranks[order] for name, accumulator in accumulators.items()}
    by_user = user_metrics(data, part, ranks, metric=monitored_metric(config))
    return _report(accumulators, part, who=loaded.kind), by_user


def _draws(
    config: RecommendConfig, baselines: Baselines, batch: EvalBatch, *, part: Part, number: int
) -> dict[str, Negatives]:
    """Draw the negatives of a batch, the same for the model and the baselines."""
    num_negatives = config.evaluation.num_sampled_negatives
    if not num_negatives:
        return {}
    counts = baselines.popularity.float()
    draws = {}
    for label, weights in ((UNIFORM, torch.ones_like(counts)), (BY_POPULARITY, counts)):
        generator = torch.Generator(batch.targets.device)
        generator.manual_seed(derive_seed(config.seed, label, part, number))
        draws[label] = draw_negatives(
            batch.targets,
            seen_rows=batch.seen_rows,
            seen_items=batch.seen_items,
            weights=weights,
            num_negatives=num_negatives,
            generator=generator,
        )
    return draws


def _add(
    accumulator: MetricAccumulator,
    scores: Tensor,  # [B, V]
    batch: EvalBatch,
    draws: dict[str, Negatives],
    *,
    exclude_seen: bool,
) -> None:
    seen = (batch.seen_rows, batch.seen_items) if exclude_seen else None
    before = outranking(scores, batch.targets, seen=seen)  # bool [B, V]
    accumulator.add_user_ranks(count_true(before))
    for label, negatives in draws.items():
        accumulator.add_ranks(label, sampled_ranks(before, negatives))
    accumulator.add_targets(batch.targets)
    accumulator.add_lists(top_k(scores, LIST_LENGTH, exclude=seen).items)


def _report(accumulators: dict[str, MetricAccumulator], part: Part, *, who: str) -> Report:
    """Arrange the results by metric, with the model first."""
    tables = {name: accumulator.metrics() for name, accumulator in accumulators.items()}
    full, sampled, lists = (
        {
            metric: {name: table[group][metric] for name, table in tables.items()}
            for metric in tables[OURS][group]
        }
        for group in ("full", "sampled", "lists")
    )
    monitored = "ndcg@10" if "ndcg@10" in full else next(m for m in full if m.startswith("ndcg"))
    verdict = compare_with_baselines(full[monitored], f"{part} {monitored}", who=who)
    return {
        "users": accumulators[OURS].num_users,
        "verdict": verdict,
        "full_ranking": full,
        "sampled_ranking": sampled,
        "lists": lists,
    }


def describe_protocol(config: RecommendConfig, *, num_negatives: int) -> str:
    """Describe how the numbers were computed."""
    seen = "excluded" if config.evaluation.exclude_seen else "NOT excluded"
    text = (
        f"Full ranking over all items, items of the user's history {seen}, ties counted against "
        "the model, one held-out item per user, mean over users. The baselines popularity, "
        "first-order Markov and item to item count in the training part and are ranked by the same "
        "code over the same candidates."
    )
    if num_negatives:
        text += (
            f" Values named sampled_* rank the target among {num_negatives} unseen items drawn "
            "without replacement, uniformly or by popularity: only for comparison with papers that "
            "do so, never with full-ranking values."
        )
    return text
