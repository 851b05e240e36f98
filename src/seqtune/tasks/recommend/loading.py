"""A checkpoint's model, ready to score: the one way from a folder on disk to numbers.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtune.core.checkpoint import Checkpoint, Which
from seqtune.inference import (
    CheckpointInfo,
    LoadedCheckpoint,
    read_checkpoint_config,
    read_weights,
    select_device,
    weights_must_fit,
)

from .models import load_model as model_of_weights
from .models.base import SequenceModel
from .params import RecommendConfig


@dataclass(frozen=True)
class LoadedModel(LoadedCheckpoint[RecommendConfig]):
    """Weights of a checkpoint in a model that no longer changes."""

    model: SequenceModel[Any]

    @property
    def max_len(self) -> int:
        return self.model.max_len

    @property
    def num_items(self) -> int:
        return self.model.num_items

    @property
    def mask_token(self) -> int:
        return self.model.mask_token

    def scores(self, inputs: Tensor) -> Tensor:
        """Scores fp32 [B, V] of every item as the next one; `inputs` [B, T] end in [MASK].

        Computed in the precision that training validated in.
        """
        with torch.no_grad(), self.autocast():
            return self.model.next_item_scores(inputs.to(self.device))


def describe(path: Path, which: Which = "best") -> CheckpointInfo[RecommendConfig]:
    """Read the manifest of a checkpoint; its model stays on disk."""
    checkpoint, config = read_checkpoint_config(path, RecommendConfig, task="recommend")
    return CheckpointInfo(checkpoint, which, config)


def load_model(path: Path, which: Which = "best", *, device: str | None = None) -> LoadedModel:
    """Open a checkpoint, on `device` or where it was trained."""
    info = describe(path, which)
    model = _model(info.checkpoint, info.config, which)
    where = select_device(device, info.config.training.accelerator)
    return LoadedModel(info.checkpoint, which, info.config, where, model.to(where).eval())


def _model(checkpoint: Checkpoint, config: RecommendConfig, which: Which) -> SequenceModel[Any]:
    weights = read_weights(checkpoint, which)
    with weights_must_fit(checkpoint, which):
        return model_of_weights(config.model, weights)
