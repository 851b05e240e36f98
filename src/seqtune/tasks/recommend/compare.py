"""Rank the held-out items by models, baselines and the lists of other systems.

Shapes: B batch (users), U users with a held-out item, V items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqtune.core.config import CompareConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.metrics import HEADLINE
from seqtune.core.row_metrics import RowMetrics, read_systems
from seqtune.core.task import Report

from .baselines import BASELINES, Baselines
from .batches import Part, eval_batches
from .cooccurrence import last_items
from .data import Int64, SplitData
from .ensemble import Scorer, open_model
from .evaluate import describe_protocol
from .external_lists import ExternalLists
from .metrics import monitored_metric, rank_gains, target_ranks
from .params import RecommendConfig
from .user_metrics import HeldOutItems, user_metrics

ScoreBatch = Callable[[Tensor], Tensor]
"""(inputs [B, T]) -> scores [B, V]."""


def score_rows(
    models: Mapping[str, Path],
    answers: tuple[Path, ...],
    data: SplitData,
    settings: CompareConfig,
    *,
    scratch: Path,
) -> tuple[RowMetrics, Report]:
    """Score the users of one part by models, baselines and lists (`answers`, named by file).

    The first model decides what is read how, and which items are candidates.
    """
    opened = {name: open_model(path) for name, path in models.items()}
    for loaded in opened.values():
        loaded.require_assets(data.assets_hash, what=str(data.path))
        loaded.warn_of_other_split(data, rows="items")
    config, part = next(iter(opened.values())).config, settings.part
    metric = monitored_metric(config) if settings.metric == "auto" else settings.metric
    depth = len(rank_gains(metric)) - 1
    if not len(HeldOutItems.of(data, part).users):
        raise ConfigurationError(
            f"compare.part={part}, but this split holds out no {part} items; choose the other part"
        )

    def read(path: Path) -> tuple[Int64, Report]:
        lists = ExternalLists.read(path, config.ingest, data, scratch=scratch)
        return lists.ranks(data, part, exclude_seen=config.evaluation.exclude_seen)

    listed = read_systems(answers, read, taken=(*opened, *BASELINES))
    facts = {name: found for name, (_, found) in listed.items()}
    ranks = _ranks_by_scores(opened, data, config, part)
    ranks |= {name: own for name, (own, _) in listed.items()}
    return user_metrics(data, part, ranks, metric=metric), {
        HEADLINE: _headline(facts, depth),
        "data_hash": data.content_hash,
        "protocol": describe_protocol(config, num_negatives=0),
        "models": {name: loaded.identity() for name, loaded in opened.items()},
        "lists": facts,
    }


def _headline(facts: Mapping[str, Report], depth: int) -> list[str]:
    lines = []
    for name, found in facts.items():
        if missing := found["users_without_list"]:
            lines.append(f"{name}: {missing} users have no list, which counts as a miss")
        if found["longest_list"] < depth:
            lines.append(
                f"{name}: no list is longer than {found['longest_list']} items, so later places "
                f"of the first {depth} count as misses"
            )
        if not found["listed_targets"]:
            lines.append(
                f"{name}: no list has the held-out item. Were the lists made from whole histories? "
                "They must be made from what came before that item"
            )
    return lines


def _ranks_by_scores(
    models: Mapping[str, Scorer], data: SplitData, config: RecommendConfig, part: Part
) -> dict[str, Int64]:
    """Return the ranks [U] of the held-out items by each model and baseline."""
    first = next(iter(models.values()))
    baselines = Baselines.of(data, device=first.device)
    scorers: dict[str, ScoreBatch] = {name: model.scores for name, model in models.items()}
    scorers |= {name: partial(_baseline_scores, baselines, name) for name in BASELINES}
    max_len = max(model.max_len for model in models.values())
    users: list[Tensor] = []
    ranks: dict[str, list[Tensor]] = {name: [] for name in scorers}
    batches = eval_batches(data, part, max_len=max_len, batch_size=config.evaluation.batch_size)
    for on_cpu in batches:
        batch = on_cpu.to(first.device)
        users.append(on_cpu.users)
        for name, score in scorers.items():
            found = target_ranks(
                score(batch.inputs).to(first.device),
                batch.targets,
                seen_rows=batch.seen_rows,
                seen_items=batch.seen_items,
                exclude_seen=config.evaluation.exclude_seen,
            )
            ranks[name].append(found.cpu())
    order = torch.cat(users).argsort()
    return {name: np.asarray(torch.cat(found)[order]) for name, found in ranks.items()}


def _baseline_scores(baselines: Baselines, name: str, inputs: Tensor) -> Tensor:
    return baselines.scores(name, last_items(inputs))
