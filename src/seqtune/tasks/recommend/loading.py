"""A checkpoint's model, ready to score: the one way from a folder on disk to numbers.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqtune.contracts.checkpoint import NEXT_STEP, Checkpoint, Which, open_checkpoint
from seqtune.contracts.errors import ArtifactError
from seqtune.opened import Described, Trained, config_of, place, weights_of

from .models import load_model as model_of_weights
from .models.base import SequenceModel
from .params import RecommendConfig


@dataclass(frozen=True)
class LoadedModel(Trained[RecommendConfig]):
    """Weights of a checkpoint in a model that no longer changes."""

    model: SequenceModel[Any]

    @property
    def assets(self) -> Path:
        return self.checkpoint.assets

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

    def heaviest(self) -> tuple[LoadedModel, str]:
        """The one model that counts most, to look into, and its name."""
        return self, f"the checkpoint {self.checkpoint.manifest.fingerprint}"


def describe(path: Path, which: Which = "best") -> Described[RecommendConfig]:
    """Read what a checkpoint says of itself; its model stays on the disk."""
    checkpoint = open_checkpoint(path)
    return Described(checkpoint, which, config_of(checkpoint, RecommendConfig, task="recommend"))


def load_model(path: Path, which: Which = "best", *, device: str | None = None) -> LoadedModel:
    """Open a checkpoint. `device` is where to compute; without one, where it was trained."""
    told = describe(path, which)
    model = _model(told.checkpoint, told.config, which)
    where = place(device, told.config.training.accelerator)
    return LoadedModel(told.checkpoint, which, told.config, where, model.to(where).eval())


def _model(checkpoint: Checkpoint, config: RecommendConfig, which: Which) -> SequenceModel[Any]:
    weights = weights_of(checkpoint, which)
    try:
        return model_of_weights(config.model, weights)
    except (KeyError, RuntimeError) as error:  # a tensor is missing, or of another shape
        raise ArtifactError(
            f"the weights in {checkpoint.weights_path(which)} do not fit the configuration beside "
            f"them ({' '.join(str(error).split())}); {NEXT_STEP}"
        ) from error
