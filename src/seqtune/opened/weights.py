"""What is the same of every opened checkpoint, whatever its model computes."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from seqtune.contracts.checkpoint import NEXT_STEP, Checkpoint, CheckpointManifest, Which
from seqtune.contracts.config import RunConfig
from seqtune.contracts.errors import ArtifactError, ConfigurationError
from seqtune.contracts.task import Report

logger = logging.getLogger(__name__)
Config = TypeVar("Config", bound=RunConfig)

PREFIX = "model."
"""Of the names of weights: the attribute of the module that was trained."""
NOT_TOLD = ("ingest", "training", "evaluation")
"""Sections of a configuration that a report leaves out."""
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Described(Generic[Config]):
    """Weights of a checkpoint, and all that is known of them while they lie on the disk."""

    checkpoint: Checkpoint
    which: Which
    config: Config

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    @property
    def manifest(self) -> CheckpointManifest:
        return self.checkpoint.manifest

    @property
    def data_hash(self) -> str:
        """Content hash of the split that it was trained on."""
        return self.manifest.data_hash

    def identity(self) -> Report:
        """Which weights these are, for reports."""
        return {
            "checkpoint": str(self.path),
            "weights": self.which,
            "epoch": self.manifest.weights(self.which).epoch,
            "fingerprint": self.manifest.fingerprint,
        }

    def configuration(self) -> Report:
        """How they came to be, for reports."""
        values = self.config.model_dump(mode="json")
        sections = {
            name: value
            for name, value in values.items()
            if isinstance(value, dict) and name not in NOT_TOLD
        }
        precision = self.config.training.precision
        return {"config": {"seed": self.config.seed, "precision": precision, **sections}}

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse to be used with other data than it was trained on."""
        self.checkpoint.require_assets(assets_hash, what=what)


@dataclass(frozen=True)
class Trained(Described[Config]):
    """The same ready to compute; a task adds its model."""

    device: torch.device

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision that training validated in."""
        dtype = HALF.get(self.config.training.precision)
        if dtype is None or (dtype is torch.float16 and self.device.type == "cpu"):
            return nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)


def config_of(checkpoint: Checkpoint, config_class: type[Config], *, task: str) -> Config:
    """What it was trained with; refuses another task's, and what is of another version."""
    if (own := checkpoint.manifest.task) != task:
        raise ArtifactError(
            f"checkpoint {checkpoint.path} belongs to the task {own}, not to {task}; {NEXT_STEP}"
        )
    try:
        return config_class.model_validate(checkpoint.manifest.config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "config"
        raise ArtifactError(
            f"checkpoint {checkpoint.path} holds a configuration that this version of seqtune does "
            f"not understand: {key}: {first['msg']}; {NEXT_STEP}"
        ) from error


def weights_of(checkpoint: Checkpoint, which: Which) -> dict[str, torch.Tensor]:
    """By the names that the model itself gives them."""
    path = checkpoint.weights_path(which)
    try:
        return {name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise ArtifactError(f"{path} cannot be read as weights ({error}); {NEXT_STEP}") from error


def place(device: str | None, accelerator: str) -> torch.device:
    """Where to compute: the device that is named, or where the configuration wants to."""
    name = device or _device(accelerator)
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # no such name, or no such hardware
        raise ConfigurationError(
            f"device={name!r} cannot be used on this machine ({str(error).splitlines()[0]}); "
            "give 'cpu', or None to have it chosen"
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
