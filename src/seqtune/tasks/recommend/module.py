"""The model as a LightningModule: training and validation steps.

`training.fit` attaches the optimiser and tracks the mean loss of an epoch. Each step seeds its own
generator for masks, so that a resumed run draws the same masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from seqtune.batching import mean_over_ranks
from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Resolved
from seqtune.core.seeds import derive_seed

from .batches import EvalBatch
from .cooccurrence import Cooccurrence
from .data import SplitData
from .item_regression import MOST_ITEMS
from .losses.sampled_softmax import (
    SampledItems,
    cumulated_shares,
    draw_by_weight,
    draw_items,
)
from .metrics import (
    METRICS,
    mean_metrics,
    measured_metrics,
    rank_counts,
    target_ranks,
)
from .models import build_model
from .models.base import SHARES, SequenceModel
from .objectives import TrainingTargets
from .params import RecommendConfig

SHARE = "val_item_to_item"
"""The chosen share of counts, beside the metrics of each epoch."""
PREFIXES = ("val", "train")
"""Prefix of the metrics of each validation loader."""


class RecommendModule(LightningModule):
    """Cross entropy over the target positions in training; full ranking in validation.

    The first validation loader has the held-out items, the optional second a training sample.
    """

    def __init__(
        self, config: RecommendConfig, model: SequenceModel[Any], *, shares: Tensor | None = None
    ) -> None:
        """`shares` are the `cumulated_shares` by which negatives are drawn; None: all alike."""
        super().__init__()
        self.config = config
        self.model = model
        self._item_shares = shares  # stays on the CPU, because not every GPU knows fp64
        self._rank_counts: dict[int, Tensor] = {}

    def training_step(self, items: Tensor, batch_idx: int) -> Tensor:
        """Return the mean loss over the targets of a batch of item sequences [B, T]."""
        asked = self.targets(items, batch_idx)
        loss = self.model.loss(*asked, self.negatives(batch_idx))
        return mean_over_ranks(loss, len(asked.positions))

    def targets(self, items: Tensor, batch_idx: int) -> TrainingTargets:
        """Return the targets of this step, deterministically for a given number of ranks."""
        generator = self._generator("mask", batch_idx, self.global_rank)
        return self.model.training_targets(items, generator)

    def negatives(self, batch_idx: int) -> SampledItems | None:
        """Return the items drawn for the loss of this step, the same on all ranks; None for all."""
        if not (num_negatives := self.config.model.num_negatives):
            return None
        if self._item_shares is None:
            generator = self._generator("negatives", batch_idx, rank=0)
            return draw_items(self.model.num_items, num_negatives, generator=generator)
        generator = self._generator("negatives", batch_idx, rank=0, device="cpu")
        drawn = draw_by_weight(self._item_shares, num_negatives, generator=generator)
        return SampledItems(*(part.to(self.device) for part in drawn))

    def on_validation_epoch_start(self) -> None:
        self._rank_counts = {}

    def validation_step(
        self, batch: EvalBatch, _batch_idx: int = 0, dataloader_idx: int = 0
    ) -> None:
        """Count the target ranks of one batch, which may be empty if other processes have more."""
        ks, num_shares = self.config.evaluation.ks, len(SHARES) if self.model.chooses_share else 1
        none = torch.zeros(num_shares, max(ks) + 1, dtype=torch.int64, device=self.device)
        counts = self._rank_counts.setdefault(dataloader_idx, none)
        if not len(batch.users):
            return
        for row, scores in enumerate(self._scores(batch.inputs)):
            ranks = target_ranks(
                scores,
                batch.targets,
                seen_rows=batch.seen_rows,
                seen_items=batch.seen_items,
                exclude_seen=self.config.evaluation.exclude_seen,
            )
            counts[row] += rank_counts(ranks, ks)

    def on_validation_epoch_end(self) -> None:
        """Log exact means over all users, independent of batches and devices."""
        best, names = 0, measured_metrics(self.config.training.monitor)
        for loader, counted in sorted(self._rank_counts.items()):
            counts = self.trainer.strategy.reduce(counted, reduce_op="sum").cpu()
            metrics = [mean_metrics(row, self.config.evaluation.ks, names=names) for row in counts]
            if self.model.chooses_share and loader == 0:
                best = self._choose_share(metrics)
            found = {f"{PREFIXES[loader]}_{name}": v for name, v in metrics[best].items()}
            self.log_dict(found, sync_dist=True)

    def _scores(self, inputs: Tensor) -> Iterable[Tensor]:
        """Return scores [B, V] for each share of counts that is to be measured."""
        if self.model.chooses_share:
            return self.model.probabilities_by_share(inputs)
        return [self.model.next_item_scores(inputs)]

    def _choose_share(self, metrics: Sequence[Mapping[str, float]]) -> int:
        """Give the model the share that is best on valid, and log it; return its place."""
        monitored = self.config.training.monitor.partition("_")[2]
        by = monitored if monitored in metrics[0] else next(iter(metrics[0]))
        direction = METRICS[by.partition("@")[0]].direction  # of the loss, it may be the other
        best = (min if direction == "min" else max)(
            range(len(metrics)), key=lambda place: metrics[place][by]
        )
        self.model.share.fill_(SHARES[best])
        self.log(SHARE, SHARES[best], sync_dist=True)
        return best

    def _generator(
        self, use: str, batch_idx: int, rank: int, device: str | None = None
    ) -> torch.Generator:
        place = (use, self.current_epoch, batch_idx, rank)
        seed = derive_seed(self.config.seed, *place)
        return torch.Generator(device or self.device).manual_seed(seed)


def resolve_auto(resolved: Resolved[RecommendConfig], data: SplitData) -> Resolved[RecommendConfig]:
    """Refuse parameters that do not fit the split."""
    model = resolved.config.model
    faults = [
        f"{model.how_switched(name)}, but the split has no {name} table (it has: "
        f"{', '.join(data.sides) or 'none'}); put its file at the path of recommend.raw_sides in "
        "the catalog and run ingest and split again, or switch it off"
        for name in model.sides
        if name not in data.sides
    ]
    if np.max(data.train_end, initial=0) < model.shortest_sequence:
        faults.append(
            f"no user of the split has {model.shortest_sequence} training items, which the "
            "model needs; use longer histories, hold out fewer items (recommend.split), or use "
            "objective=cloze of the transformer, which trains on single items"
        )
    if model.num_negatives >= data.num_items:
        faults.append(
            f"recommend.model.num_negatives={model.num_negatives}, but the split has "
            f"{data.num_items} items; choose fewer, or 0 for all of them"
        )
    if model.regresses_items and data.num_items > MOST_ITEMS:
        faults.append(
            f"recommend.model.item_to_item_weights=regression is for at most {MOST_ITEMS} items, "
            f"but the split has {data.num_items}; choose counts"
        )
    if faults:
        raise ConfigurationError(faults)
    return resolved


def build_module(config: RecommendConfig, data: SplitData) -> RecommendModule:
    """Return a newly initialised module for this split, or refuse parameters that do not fit it."""
    resolve_auto(Resolved(config, {}), data)
    counts = None
    if config.model.uses_counts:
        counts = Cooccurrence.of(data, regression=config.model.regresses_items)
    mixed = counts if config.model.item_to_item else None
    model = build_model(config.model, num_items=data.num_items, sides=data.sides, counts=mixed)
    if counts is not None and config.model.item_init == "counts":
        model.start_items(counts.item_vectors(config.model.hidden_units))
    shares = None
    if config.model.num_negatives and (power := config.model.negative_popularity):
        shares = cumulated_shares(torch.tensor(data.train_counts[1:]), power=power)
    return RecommendModule(config, model, shares=shares)
