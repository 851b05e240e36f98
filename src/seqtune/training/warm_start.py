"""Weights to start from: those of another checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch import LightningModule
from safetensors.torch import load_file
from torch import Tensor

from seqtune.core.checkpoint import (
    HISTORY,
    MANIFEST,
    Checkpoint,
    Weights,
    file_hash,
    open_checkpoint,
)
from seqtune.core.config import RunConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.files import write_json
from seqtune.core.task import TaskSpec, TrainingData

from .checkpoints import FOLDER, LAST, complete
from .randomness import isolated
from .recorder import write_weights

CARRIED_OVER = "carried over"


def load_start_weights(
    module: LightningModule, spec: TaskSpec, config: RunConfig, data: TrainingData
) -> None:
    """Give a module the weights of the checkpoint that `training.start_from` names, if it does."""
    if not (folder := config.training.start_from):
        return
    asked = f"{config.task}.training.start_from={folder}"
    if not (Path(folder) / MANIFEST).is_file():
        raise ConfigurationError(
            f"{asked} is not the folder of a checkpoint ({MANIFEST} is missing); give one, such as "
            f"data/06_models/{config.task}/checkpoint/<version>/checkpoint"
        )
    checkpoint = open_checkpoint(Path(folder))
    if (own := checkpoint.manifest.task) != config.task:
        raise ConfigurationError(
            f"{asked} is a checkpoint of the task {own}; give one of this task"
        )
    weights = _matching_weights(checkpoint, module, spec, data, asked)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{asked} has weights of another model than {config.task}.model describes "
            f"({' '.join(str(error).split())}); set {config.task}.model as it was trained, or "
            "leave start_from out"
        ) from error


def _matching_weights(
    checkpoint: Checkpoint, module: LightningModule, spec: TaskSpec, data: TrainingData, asked: str
) -> Mapping[str, Tensor]:
    if spec.carry_over is not None:
        return spec.carry_over(checkpoint, module, data)
    if checkpoint.manifest.assets_hash != data.assets_hash:
        raise ConfigurationError(
            f"{asked} was trained on other labels or tokens than this split has; leave start_from "
            "out, or split the data that it was trained on"
        )
    return load_file(checkpoint.weights_path("best"))


def carry_over(
    spec: TaskSpec, config: RunConfig, data: TrainingData, *, directory: Path, fingerprint: str
) -> Path:
    """Write `directory/checkpoint`: the weights of `training.start_from` as they are before the
    first step of a training on these data."""
    folder = directory / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with isolated(config.seed, device="cpu"):
        module = spec.build_module(config, data)
        load_start_weights(module, spec, config, data)
    write_weights(folder / LAST, module.state_dict())
    write_json(folder / HISTORY, [])
    untrained = Weights(file=LAST, sha256=file_hash(folder / LAST), epoch=0, metrics={})
    complete(
        folder,
        config,
        data,
        fingerprint=fingerprint,
        best=untrained,
        last=untrained,
        epochs_planned=0,
        stopped=CARRIED_OVER,
        seconds=0.0,
    )
    return folder
