"""Load the model of a checkpoint and score with it.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtune.core.checkpoint import Which
from seqtune.inference import (
    CheckpointInfo,
    LoadedCheckpoint,
    read_checkpoint_config,
    read_weights,
    select_device,
    weights_must_fit,
)

from .models import load_model as build_from_weights
from .models.base import SequenceModel
from .params import RecommendConfig


@dataclass(frozen=True)
class LoadedModel(LoadedCheckpoint[RecommendConfig]):
    """A checkpoint and its model in evaluation mode."""

    model: SequenceModel[Any]

    @property
    def max_len(self) -> int:
        return self.model.max_len

    def scores(self, inputs: Tensor) -> Tensor:
        """Return fp32 scores [B, V] of each item as the next one; `inputs` [B, T] end in [MASK].

        Computed in the precision of validation during training.
        """
        with torch.no_grad(), self.autocast():
            return self.model.next_item_scores(inputs.to(self.device))


def describe(path: Path, which: Which = "best") -> CheckpointInfo[RecommendConfig]:
    """Read the manifest of a checkpoint without its model."""
    checkpoint, config = read_checkpoint_config(path, RecommendConfig, task="recommend")
    return CheckpointInfo(checkpoint, which, config)


def load_model(path: Path, which: Which = "best", *, device: str | None = None) -> LoadedModel:
    """Open a checkpoint, on `device` or the device type of its training."""
    info = describe(path, which)
    weights = read_weights(info.checkpoint, which)
    with weights_must_fit(info.checkpoint, which):
        model = build_from_weights(info.config.model, weights)
    where = select_device(device, info.config.training.accelerator)
    return LoadedModel(info.checkpoint, which, info.config, where, model.to(where).eval())
