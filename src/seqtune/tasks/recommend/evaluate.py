"""Evaluate a checkpoint or an ensemble on the held-out items, next to two baselines.

Shapes: B batch (users), V items. Column j of scores is item j + 1.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from seqtune.core.ensemble import is_ensemble
from seqtune.core.metrics import compare_with_baselines, wanted_parts
from seqtune.core.seeds import derive_seed
from seqtune.core.task import OURS, Report

from .baselines import FLOORS, Baselines
from .batches import EvalBatch, Part, eval_batches
from .data import SplitData
from .ensemble import Scorer, open_model
from .metric_accumulator import (
    DEFINITIONS,
    FULL,
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
    outranking,
    sampled_ranks,
)
from .params import RecommendConfig
from .topk import top_k

UNIFORM = "sampled_uniform"
BY_POPULARITY = "sampled_popularity"


def evaluate(checkpoint: Path, data: SplitData, *, parts: Collection[str] | None = None) -> Report:
    """Return a JSON-ready report on the best weights, on valid and test or on some of `parts`.

    `checkpoint` may be the folder of an ensemble.
    """
    loaded = open_model(checkpoint)
    loaded.require_assets(data.assets_hash, what=str(data.path))
    loaded.warn_of_other_split(data, rows="items")
    floors = Baselines.of(data, device=loaded.device)
    exist: dict[Part, bool] = {"valid": data.has_validation, "test": data.has_test}
    wanted = wanted_parts([part for part in exist if exist[part]], parts)
    found = {part: _part(loaded, data, floors, part) for part in exist if part in wanted}
    return {
        "headline": [part["verdict"] for part in found.values()],
        **_facts(loaded, data),
        "parts": found,
    }


def _part(loaded: Scorer, data: SplitData, floors: Baselines, part: Part) -> Report:
    """Compute all metrics of the model and the baselines over the users of one part."""
    config = loaded.config
    percentiles = popularity_percentiles(data.train_counts)
    tallies = {
        name: MetricAccumulator(config, percentiles, device=loaded.device)
        for name in (OURS, *FLOORS)
    }
    size = config.evaluation.batch_size
    batches = eval_batches(data, part, max_len=loaded.max_len, batch_size=size)
    for number, on_cpu in enumerate(batches):
        batch = EvalBatch(*(tensor.to(loaded.device) for tensor in on_cpu))
        draws = _draws(config, floors, batch, part=part, number=number)
        for name, tally in tallies.items():
            if name == OURS:
                scores = loaded.scores(batch.inputs)
            else:
                scores = floors.scores(name, batch.inputs[:, -2].long())  # the last is [MASK]
            _add(tally, scores, batch, draws, exclude_seen=config.evaluation.exclude_seen)
    who = "ensemble" if is_ensemble(loaded.path) else "model"
    return _findings(tallies, part, who=who)


def _draws(
    config: RecommendConfig, floors: Baselines, batch: EvalBatch, *, part: Part, number: int
) -> dict[str, Negatives]:
    """Draw the negatives of a batch, the same for the model and the baselines."""
    num_negatives = config.evaluation.num_sampled_negatives
    if not num_negatives:
        return {}
    counts = floors.popularity.float()
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
    tally: MetricAccumulator,
    scores: Tensor,  # [B, V]
    batch: EvalBatch,
    draws: dict[str, Negatives],
    *,
    exclude_seen: bool,
) -> None:
    seen = (batch.seen_rows, batch.seen_items) if exclude_seen else None
    before = outranking(scores, batch.targets, seen=seen)  # bool [B, V]
    tally.add_ranks(FULL, count_true(before))
    for label, negatives in draws.items():
        tally.add_ranks(label, sampled_ranks(before, negatives))
    tally.add_targets(batch.targets)
    tally.add_lists(top_k(scores, LIST_LENGTH, exclude=seen).items)


def _findings(tallies: dict[str, MetricAccumulator], part: Part, *, who: str) -> Report:
    """Arrange the results by metric, with the model first."""
    tables = {name: tally.metrics() for name, tally in tallies.items()}
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
        "users": tallies[OURS].num_users,
        "verdict": verdict,
        "full_ranking": full,
        "sampled_ranking": sampled,
        "lists": lists,
    }


def _facts(loaded: Scorer, data: SplitData) -> Report:
    """Return what was evaluated, on which data, and how to read the numbers."""
    labels = {
        name: METRICS[name].label for name in measured_metrics(loaded.config.training.monitor)
    }
    return {
        **loaded.identity(),
        "data_hash": data.content_hash,
        "protocol": _protocol(loaded.config),
        "definitions": DEFINITIONS | {f"{name}@K": text for name, text in labels.items() if text},
        **loaded.configuration(),
        "num_users": data.num_users,
        "num_items": data.num_items,
    }


def _protocol(config: RecommendConfig) -> str:
    """Describe how the numbers were computed."""
    seen = "excluded" if config.evaluation.exclude_seen else "NOT excluded"
    text = (
        f"Full ranking over all items, items of the user's history {seen}, ties counted against "
        "the model, one held-out item per user, mean over users. The baselines popularity and "
        "first-order Markov count in the training part and are ranked by the same code over the "
        "same candidates."
    )
    if negatives := config.evaluation.num_sampled_negatives:
        text += (
            f" Values named sampled_* rank the target among {negatives} unseen items drawn without "
            "replacement, uniformly or by popularity: only for comparison with papers that do so, "
            "never with full-ranking values."
        )
    return text
