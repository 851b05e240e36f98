"""The classifier as a LightningModule: steps of training and validation.

`training.fit` attaches the optimiser and records the mean loss of an epoch.

Shapes: B batch, N rows of a loader, L labels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional

from seqtune.batching import mean_over_ranks

from .batches import AnyBatch, VectorBatch
from .data import ClassifyData
from .model import Standardize, TextClassifier, build_classifier
from .params import ClassifyConfig
from .vectors import text_vectors

PREFIXES = ("val", "train")
"""Prefixes of metric names, by validation loader."""


class ClassifyModule(LightningModule):
    """Binary cross entropy of each label; validation metrics over all rows at once.

    The first validation loader holds held-out rows, the second (if any) a sample of the fit part.
    """

    pos_weight: Tensor

    def __init__(
        self, model: TextClassifier, pos_weight: Tensor, *, layer_lr_decay: float = 1.0
    ) -> None:
        super().__init__()
        self._layer_lr_decay = layer_lr_decay
        self.model = model
        self.register_buffer("pos_weight", pos_weight, persistent=False)
        self._scored: dict[int, list[tuple[Tensor, Tensor]]] = {}

    def lr_factor(self, name: str) -> float:
        """Return the factor of the learning rate of a parameter; the optimiser asks."""
        return self._layer_lr_decay ** self.model.depth_below_head(name.removeprefix("model."))

    def training_step(self, batch: AnyBatch, _batch_idx: int) -> Tensor:
        """Return the mean loss of one batch."""
        loss = self.loss(self._logits(batch), batch.targets)
        return mean_over_ranks(loss, len(batch.targets))

    def _logits(self, batch: AnyBatch) -> Tensor:
        """Return logits [B, L]; a batch of vectors needs the head alone."""
        if isinstance(batch, VectorBatch):
            return self.model.classify(batch.vectors)
        logits: Tensor = self.model(batch.ids, batch.real)
        return logits

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over texts and labels [B, L]."""
        weight = self.pos_weight.to(logits.device)
        return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight)

    def on_validation_epoch_start(self) -> None:
        self._scored = {}

    def validation_step(
        self, batch: AnyBatch, _batch_idx: int = 0, dataloader_idx: int = 0
    ) -> None:
        """Score one batch; a rank with fewer texts than others gets an empty one."""
        scored = self._scored.setdefault(dataloader_idx, [])
        if len(batch.rows):
            scored.append((batch.rows, torch.cat([self._logits(batch), batch.targets], dim=1)))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of all rows, independent of batches and devices; tune the thresholds."""
        from .metrics import tuned_thresholds, validation_metrics

        for loader, scored in sorted(self._scored.items()):
            logits, targets = self._gather(scored).cpu().chunk(2, dim=1)
            found = validation_metrics(logits.numpy(), targets.numpy())
            if loader == 0:  # training logs train_loss
                found = {"loss": float(self.loss(logits, targets)), **found}
                thresholds = tuned_thresholds(logits.numpy(), targets.numpy())
                self.model.thresholds = torch.from_numpy(thresholds)
            prefix = PREFIXES[loader]
            self.log_dict({f"{prefix}_{name}": v for name, v in found.items()}, sync_dist=True)

    def _gather(self, scored: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Gather logits and targets of all ranks [N, 2L], in the order of the rows."""
        reduce = self.trainer.strategy.reduce
        none = torch.empty(0, dtype=torch.int64, device=self.device)
        rows = torch.cat([none, *(rows for rows, _ in scored)])
        size = torch.tensor(int(rows.max()) + 1 if len(rows) else 0, device=self.device)
        size = reduce(size, reduce_op="max")
        table = torch.zeros(int(size), 2 * len(self.pos_weight) + 1, device=self.device)
        for numbers, values in scored:
            table[numbers, :-1] = values
        table[rows, -1] = 1.0
        table = reduce(table, reduce_op="sum")
        return table[table[:, -1] > 0, :-1]  # a dry run scores only some rows


def build_module(config: ClassifyConfig, data: ClassifyData) -> ClassifyModule:
    """Build an untrained module for this split."""
    model = build_classifier(config.model, num_labels=len(data.labels))
    if isinstance(model.standardize, Standardize):
        model.standardize.fit(torch.tensor(text_vectors(data, "train", config)))
    weights = pos_weights(
        data.positives, num_rows=data.num_fit_rows, maximum=config.model.pos_weight_max
    )
    return ClassifyModule(
        model,
        torch.tensor(weights, dtype=torch.float32),
        layer_lr_decay=config.training.layer_lr_decay,
    )


def pos_weights(
    positives: npt.NDArray[np.int64], *, num_rows: int, maximum: float
) -> npt.NDArray[np.float64]:
    """Return negatives / positives [L], clipped; the lower bound keeps common labels relevant."""
    ratios = (num_rows - positives) / np.maximum(positives, 1)
    return np.clip(ratios, 1.0 / maximum, maximum)
