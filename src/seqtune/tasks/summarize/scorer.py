"""A checkpoint's model, ready to write: the one way from a folder on disk to summaries."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from seqtune.contracts.checkpoint import (
    NEXT_STEP,
    Checkpoint,
    CheckpointManifest,
    Which,
    open_checkpoint,
)
from seqtune.contracts.errors import ArtifactError, ConfigurationError
from seqtune.contracts.task import Report

from .batches import encoder
from .model import Kind, place, restored_model
from .params import SummarizeConfig

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_PREFIX = "model."


@dataclass(frozen=True)
class Summarizer:
    """Weights of a checkpoint in a model that no longer changes."""

    checkpoint: Checkpoint
    which: Which
    config: SummarizeConfig
    kind: Kind
    model: Any
    tokenizer: Any
    device: torch.device

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

    def inputs(self, dialogues: Sequence[str]) -> list[list[int]]:
        """Tokens of dialogues: preprocessed, in their prompt, cut to `max_input_length`."""
        return encoder(self.config, self.tokenizer, self.kind).fitting(dialogues)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision that training validated in."""
        dtype = _AUTOCAST.get(self.config.training.precision)
        if dtype is None or (dtype is torch.float16 and self.device.type == "cpu"):
            return nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)

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
        config = self.config
        return {
            "config": {
                "seed": config.seed,
                "precision": config.training.precision,
                "split": config.split.model_dump(mode="json"),
                "preprocess": config.preprocess.model_dump(mode="json"),
                "model": config.model.model_dump(mode="json"),
                "generation": config.generation.model_dump(mode="json"),
            }
        }


def load_summarizer(path: Path, which: Which = "best", *, device: str | None = None) -> Summarizer:
    """Open a checkpoint. `device` is where to compute; without one, where it was trained."""
    checkpoint = open_checkpoint(path)
    config = _config(checkpoint)
    where = _place(device or place(config.training.accelerator))
    weights = {name.removeprefix(_PREFIX): t for name, t in _weights(checkpoint, which).items()}
    try:
        model, tokenizer, kind = restored_model(
            checkpoint.assets, config, weights, device=str(where)
        )
    except ArtifactError as error:
        raise ArtifactError(f"checkpoint {path}: {error}; {NEXT_STEP}") from error
    return Summarizer(checkpoint, which, config, kind, _moved(model, where), tokenizer, where)


def _config(checkpoint: Checkpoint) -> SummarizeConfig:
    task = checkpoint.manifest.task
    if task != "summarize":
        raise ArtifactError(
            f"checkpoint {checkpoint.path} belongs to the task {task}, not to summarize; "
            f"{NEXT_STEP}"
        )
    try:
        return SummarizeConfig.model_validate(checkpoint.manifest.config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "config"
        raise ArtifactError(
            f"checkpoint {checkpoint.path} holds a configuration that this version of seqtune does "
            f"not understand: {key}: {first['msg']}; {NEXT_STEP}"
        ) from error


def _weights(checkpoint: Checkpoint, which: Which) -> dict[str, torch.Tensor]:
    path = checkpoint.weights_path(which)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ArtifactError(f"{path} cannot be read as weights ({error}); {NEXT_STEP}") from error


def _moved(model: Any, where: torch.device) -> Any:
    """A quantised model lies where it was loaded, and refuses to be moved as a whole."""
    if not getattr(model, "is_quantized", False):
        model = model.to(where)
    return model.eval().requires_grad_(False)


def _place(device: str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # no such name, or no such hardware
        raise ConfigurationError(
            f"device={device!r} cannot be used on this machine ({str(error).splitlines()[0]}); "
            "give 'cpu', or None to have it chosen"
        ) from error
