"""The model as a LightningModule: what one step of training and of validation computes.

`training.fit` attaches the optimiser and keeps the mean loss of an epoch. Masks come from a
generator seeded for each step, so that a run that stopped anywhere goes on with the masks it would
have had.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from seqtune.batching import mean_over_ranks
from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.seeds import derive_seed

from .batches import EvalBatch
from .data import SplitData
from .losses.sampled_softmax import SampledItems, draw_items
from .metrics import (
    METRICS,
    mean_metrics,
    measured_metrics,
    parse_metric,
    rank_counts,
    target_ranks,
)
from .models import build_model
from .models.base import SequenceModel
from .objectives import TrainingTargets
from .params import RecommendConfig, RecommendTraining

PREFIXES = ("val", "train")
"""Of the metrics of each validation loader."""
FIRST_RANK = 0
"""The place of whatever all ranks draw alike."""


class RecommendModule(LightningModule):
    """Cross entropy over the positions that are asked for; full ranking in validation.

    The first validation loader holds what was held out, the second (where there is one) a sample
    of what was trained on.
    """

    def __init__(self, config: RecommendConfig, model: SequenceModel[Any]) -> None:
        super().__init__()
        self.config = config
        self.model = model
        self._rank_counts: dict[int, Tensor] = {}

    def training_step(self, items: Tensor, batch_idx: int) -> Tensor:
        """Mean loss of one batch of item sequences [B, T], over what it asks."""
        asked = self.targets(items, batch_idx)
        loss = self.model.loss(*asked, self.negatives(batch_idx))
        return mean_over_ranks(loss, len(asked.positions))

    def targets(self, items: Tensor, batch_idx: int) -> TrainingTargets:
        """What this step asks; the same whenever it is asked again.

        Masks are drawn by each rank for its own rows: with another number of ranks they are others.
        """
        return self.model.training_targets(
            items, self._generator("mask", batch_idx, self.global_rank)
        )

    def negatives(self, batch_idx: int) -> SampledItems | None:
        """The items that stand for the catalogue in this step, the same in every rank; None for all
        of them."""
        if not self.config.model.num_negatives:
            return None
        return draw_items(
            self.model.num_items,
            self.config.model.num_negatives,
            generator=self._generator("negatives", batch_idx, FIRST_RANK),
        )

    def on_validation_epoch_start(self) -> None:
        self._rank_counts = {}

    def validation_step(
        self, batch: EvalBatch, _batch_idx: int = 0, dataloader_idx: int = 0
    ) -> None:
        """Count the ranks of one batch; a rank with fewer users than others gets an empty one."""
        counts = self._rank_counts.setdefault(dataloader_idx, self._no_ranks())
        if not len(batch.users):
            return
        ranks = target_ranks(
            self.model.next_item_scores(batch.inputs),
            batch.targets,
            seen_rows=batch.seen_rows,
            seen_items=batch.seen_items,
            exclude_seen=self.config.evaluation.exclude_seen,
        )
        counts += rank_counts(ranks, self._ks)

    def on_validation_epoch_end(self) -> None:
        """Exact means over all users, whatever the batches and devices."""
        for loader, counted in sorted(self._rank_counts.items()):
            counts = self.trainer.strategy.reduce(counted, reduce_op="sum")
            names = measured_metrics(self.config.training.monitor)
            metrics = mean_metrics(counts.cpu(), self._ks, names=names)
            prefix = PREFIXES[loader]
            self.log_dict(
                {f"{prefix}_{name}": value for name, value in metrics.items()}, sync_dist=True
            )

    @property
    def _ks(self) -> tuple[int, ...]:
        return self.config.evaluation.ks

    def _generator(self, use: str, batch_idx: int, rank: int) -> torch.Generator:
        place = (use, self.current_epoch, batch_idx, rank)
        return torch.Generator(self.device).manual_seed(derive_seed(self.config.seed, *place))

    def _no_ranks(self) -> Tensor:
        return torch.zeros(max(self._ks) + 1, dtype=torch.int64, device=self.device)


def build_module(config: RecommendConfig, data: SplitData) -> RecommendModule:
    """A fresh module for this split."""
    faults = [
        f"{config.model.how_switched(name)}, but the split has no {name} table (it has: "
        f"{', '.join(data.sides) or 'none'}); put its file where recommend.raw_sides in the "
        "catalog looks for it and run ingest and split again, or switch it off"
        for name in config.model.sides
        if name not in data.sides
    ]
    if np.max(data.train_end, initial=0) < config.model.shortest_sequence:
        faults.append(
            f"no user of the split has {config.model.shortest_sequence} items to train on, as the "
            "model needs; give longer histories, hold out fewer items (recommend.split), or use "
            "objective=cloze of the transformer, which learns from single items"
        )
    if config.model.num_negatives >= data.num_items:
        faults.append(
            f"recommend.model.num_negatives={config.model.num_negatives}, but the split has "
            f"{data.num_items} items; choose fewer, or 0 for all of them"
        )
    faults += _monitor_faults(config.training)
    if faults:
        raise ConfigurationError(faults)
    return RecommendModule(
        config, build_model(config.model, num_items=data.num_items, sides=data.sides)
    )


def _monitor_faults(training: RecommendTraining) -> list[str]:
    """A metric @K that is not measured, or one that is monitored the wrong way round."""
    metric = training.monitor.partition("_")[2]
    found = parse_metric(metric)
    if not found and "@" in metric:
        hint = did_you_mean(metric.partition("@")[0], list(METRICS))
        return [f"recommend.training.monitor={training.monitor!r} is not measured; {hint}"]
    if not found or training.monitor_mode == (better := METRICS[found[0]].direction):
        return []
    return [
        f"recommend.training.monitor_mode={training.monitor_mode}, but of {training.monitor} "
        f"{'more' if better == 'max' else 'less'} is better; set it to {better}"
    ]
