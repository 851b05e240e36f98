"""Load the model of a checkpoint, a network or a baseline, and score with it.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from seqtune.core.checkpoint import Which
from seqtune.inference import (
    NETWORK,
    CheckpointInfo,
    LoadedCheckpoint,
    loader_of,
    read_checkpoint_config,
    read_weights,
    select_device,
    weights_must_fit,
)

from .baselines import ITEM_TO_ITEM, MARKOV
from .counted_model import CountedModel
from .models import load_model as build_from_weights
from .models.base import SequenceModel
from .params import RecommendConfig


class NextItemModel(Protocol):
    """What scoring needs of a network or a baseline."""

    num_items: int
    mask_token: int
    max_len: int

    def next_item_scores(self, items: Tensor) -> Tensor:
        """Return scores [B, V] of the next item; `items` [B, T] end in [MASK]."""


@dataclass(frozen=True)
class LoadedModel(LoadedCheckpoint[RecommendConfig]):
    """A checkpoint and its model in evaluation mode."""

    model: NextItemModel

    @property
    def max_len(self) -> int:
        return self.model.max_len

    def scores(self, inputs: Tensor) -> Tensor:
        """Return scores [B, V] of each item as the next one; `inputs` [B, T] end in [MASK].

        Computed in the precision of validation during training; fp32, of a baseline fp64.
        """
        with torch.no_grad(), self.autocast():
            return self.model.next_item_scores(inputs.to(self.device))


@dataclass(frozen=True)
class LoadedNetwork(LoadedModel):
    """A trained one."""

    model: SequenceModel[Any]


def describe(path: Path, which: Which = "best") -> CheckpointInfo[RecommendConfig]:
    """Read the manifest of a checkpoint without its model."""
    checkpoint, config = read_checkpoint_config(path, RecommendConfig, task="recommend")
    return CheckpointInfo(checkpoint, which, config)


def load_model(path: Path, which: Which = "best", *, device: str | None = None) -> LoadedModel:
    """Open a checkpoint, on `device` or the device type of its training."""
    return loader_of(path, LOADERS)(path, which, device=device)


def load_network(path: Path, which: Which = "best", *, device: str | None = None) -> LoadedNetwork:
    """Open a checkpoint of a trained network."""
    info = describe(path, which)
    weights = read_weights(info.checkpoint, which)
    with weights_must_fit(info.checkpoint, which):
        model = build_from_weights(info.config.model, weights)
    where = select_device(device, info.config.training.accelerator)
    return LoadedNetwork(info.checkpoint, which, info.config, where, model.to(where).eval())


def load_counted(path: Path, which: Which = "best", *, device: str | None = None) -> LoadedModel:
    """Open a checkpoint of a baseline that counts."""
    info = describe(path, which)
    weights = read_weights(info.checkpoint, which)
    with weights_must_fit(info.checkpoint, which):
        model = CountedModel.sized_like(info.manifest.baseline, weights)
        model.load_state_dict(weights)
    where = select_device(device, info.config.training.accelerator)
    return LoadedModel(info.checkpoint, which, info.config, where, model.to(where).eval())


LOADERS = {NETWORK: load_network, ITEM_TO_ITEM: load_counted, MARKOV: load_counted}
