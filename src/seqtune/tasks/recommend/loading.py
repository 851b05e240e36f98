"""A checkpoint's model, ready to score: the one way from a folder on disk to numbers.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from seqtune.contracts.checkpoint import NEXT_STEP, Checkpoint, Which, open_checkpoint
from seqtune.contracts.errors import ArtifactError, ConfigurationError
from seqtune.contracts.task import Report

from .model import Bert4Rec
from .model import load_model as model_of_weights
from .params import RecommendConfig

logger = logging.getLogger(__name__)

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """Weights of a checkpoint in a model that no longer changes."""

    checkpoint: Checkpoint
    which: Which
    config: RecommendConfig
    model: Bert4Rec
    device: torch.device

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    @property
    def assets(self) -> Path:
        return self.checkpoint.assets

    @property
    def data_hash(self) -> str:
        return self.checkpoint.manifest.data_hash

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
        with torch.no_grad(), self._autocast():
            return self.model.next_item_scores(inputs.to(self.device))

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        self.checkpoint.require_assets(assets_hash, what=what)

    def identity(self) -> Report:
        """Which weights these are, for reports."""
        manifest = self.checkpoint.manifest
        return {
            "checkpoint": str(self.path),
            "weights": self.which,
            "epoch": manifest.weights(self.which).epoch,
            "fingerprint": manifest.fingerprint,
        }

    def configuration(self) -> Report:
        """How they came to be, for reports."""
        config = self.config
        return {
            "config": {
                "seed": config.seed,
                "precision": config.training.precision,
                "split": config.split.model_dump(mode="json"),
                "model": config.model.model_dump(mode="json"),
            }
        }

    def heaviest(self) -> tuple[LoadedModel, str]:
        """The one model that counts most, to look into, and its name."""
        return self, f"the checkpoint {self.checkpoint.manifest.fingerprint}"

    def _autocast(self) -> AbstractContextManager[Any]:
        dtype = _AUTOCAST.get(self.config.training.precision)
        if dtype is None or (dtype is torch.float16 and self.device.type == "cpu"):
            return nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)


def load_model(path: Path, which: Which = "best", *, device: str | None = None) -> LoadedModel:
    """Open a checkpoint. `device` is where to compute; without one, where it was trained."""
    checkpoint = open_checkpoint(path)
    config = _config(checkpoint)
    model = _model(checkpoint, config, which)
    place = _place(device or _device(config.training.accelerator))
    return LoadedModel(checkpoint, which, config, model.to(place).eval(), place)


def _config(checkpoint: Checkpoint) -> RecommendConfig:
    task = checkpoint.manifest.task
    if task != "recommend":
        raise ArtifactError(
            f"checkpoint {checkpoint.path} belongs to the task {task}, not to recommend; "
            f"{NEXT_STEP}"
        )
    try:
        return RecommendConfig.model_validate(checkpoint.manifest.config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "config"
        raise ArtifactError(
            f"checkpoint {checkpoint.path} holds a configuration that this version of seqtune does "
            f"not understand: {key}: {first['msg']}; {NEXT_STEP}"
        ) from error


def _model(checkpoint: Checkpoint, config: RecommendConfig, which: Which) -> Bert4Rec:
    path = checkpoint.weights_path(which)
    try:
        return model_of_weights(config.model, load_file(path))
    except SafetensorError as error:
        raise ArtifactError(f"{path} cannot be read as weights ({error}); {NEXT_STEP}") from error
    except (KeyError, RuntimeError) as error:  # a tensor is missing, or of another shape
        raise ArtifactError(
            f"the weights in {path} do not fit the configuration beside them "
            f"({' '.join(str(error).split())}); {NEXT_STEP}"
        ) from error


def _device(accelerator: str) -> str:
    """Where the configuration wants to compute, as far as this machine can."""
    if accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    if accelerator not in ("auto", "cpu"):
        logger.warning("trained with accelerator=%s; this machine has none, using cpu", accelerator)
    return "cpu"


def _place(device: str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # no such name, or no such hardware
        raise ConfigurationError(
            f"device={device!r} cannot be used on this machine ({str(error).splitlines()[0]}); "
            "give 'cpu', or None to have it chosen"
        ) from error
