"""A checkpoint: its configuration, its weights, and the device of the model."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from seqtune.core.checkpoint import (
    NEXT_STEP,
    Checkpoint,
    CheckpointManifest,
    Which,
    open_checkpoint,
)
from seqtune.core.config import RunConfig
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.core.manifests import first_fault
from seqtune.core.reports import Report

logger = logging.getLogger(__name__)
Config = TypeVar("Config", bound=RunConfig)
ModuleT = TypeVar("ModuleT", bound=nn.Module)

LoaderT = TypeVar("LoaderT")

NETWORK = ""
"""The loader of networks among those of baselines, which have names."""
PREFIX = "model."
"""Prefix of the names of weights: the attribute of the trained module."""
REGISTRATIONS_PER_TENSOR = 4
"""How often modules register a parameter at most: absent ones and tied ones count as well."""
LEFT_OUT = ("ingest", "training", "evaluation")
"""Sections of the configuration that reports omit."""
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class CheckpointInfo(Generic[Config]):
    """A checkpoint's manifest and configuration; its weights stay on disk."""

    checkpoint: Checkpoint
    which: Which
    config: Config

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    @property
    def assets(self) -> Path:
        return self.checkpoint.assets

    @property
    def manifest(self) -> CheckpointManifest:
        return self.checkpoint.manifest

    @property
    def data_hash(self) -> str:
        """Content hash of the split that it was trained on."""
        return self.manifest.data_hash

    def identity(self) -> Report:
        """Identify the weights in reports."""
        return {
            "checkpoint": str(self.path),
            "weights": self.which,
            "epoch": self.manifest.weights(self.which).epoch,
            "fingerprint": self.manifest.fingerprint,
        }

    def configuration(self) -> Report:
        """Describe the training in reports."""
        values = self.config.model_dump(mode="json")
        sections = {
            name: value
            for name, value in values.items()
            if isinstance(value, dict) and name not in LEFT_OUT
        }
        precision = self.config.training.precision
        return {"config": {"seed": self.config.seed, "precision": precision, **sections}}

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse data whose vocabulary or labels differ from those of training."""
        self.checkpoint.require_assets(assets_hash, what=what)


@dataclass(frozen=True)
class LoadedCheckpoint(CheckpointInfo[Config]):
    """A checkpoint in memory; a task adds its model."""

    device: torch.device

    def in_fp32(self) -> Self:
        """Return the same model, to compute in fp32 whatever it was trained in."""
        training = self.config.training.model_copy(update={"precision": "fp32"})
        return replace(self, config=self.config.model_copy(update={"training": training}))

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context with the precision of validation in training."""
        return autocast(self.config.training.precision, self.device)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context that computes in a precision; on a CPU without fp16."""
    dtype = HALF.get(precision)
    if dtype is None or (dtype is torch.float16 and device.type == "cpu"):
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def read_checkpoint_config(
    path: Path, config_class: type[Config], *, task: str
) -> tuple[Checkpoint, Config]:
    """Open a checkpoint; refuse one of another task or of another version of seqtune."""
    checkpoint = open_checkpoint(path)
    if (own := checkpoint.manifest.task) != task:
        raise ArtifactError(
            f"checkpoint {path} belongs to the task {own}, not to {task}; {NEXT_STEP}"
        )
    try:
        return checkpoint, config_class.model_validate(checkpoint.manifest.config)
    except ValidationError as error:
        raise ArtifactError(
            f"checkpoint {path} holds a configuration that this version of seqtune does "
            f"not understand: {first_fault(error)}; {NEXT_STEP}"
        ) from error


def loader_of(path: Path, loaders: Mapping[str, LoaderT]) -> LoaderT:
    """Return the loader of a checkpoint: of a network, or of the baseline that it holds."""
    name = open_checkpoint(path).manifest.baseline
    if name in loaders:
        return loaders[name]
    known = ", ".join(each for each in loaders if each != NETWORK)
    raise ArtifactError(
        f"checkpoint {path} holds the baseline {name!r}; this version of seqtune knows {known}; "
        f"{NEXT_STEP}"
    )


def read_weights(checkpoint: Checkpoint, which: Which) -> dict[str, torch.Tensor]:
    """Return the tensors by their names in the model."""
    path = checkpoint.weights_path(which)
    with _readable(path):
        return {name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}


def read_tensor(checkpoint: Checkpoint, which: Which, name: str) -> torch.Tensor | None:
    """Return one tensor by its name in the model, without reading the others; None: not there."""
    path = checkpoint.path / checkpoint.manifest.weights(which).file
    with _readable(path), safe_open(path, "pt") as file:
        return file.get_tensor(PREFIX + name) if PREFIX + name in set(file.keys()) else None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Convert the errors of a file that holds no weights to ArtifactError."""
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path} cannot be read as weights ({error}); {NEXT_STEP}") from error


def outline(build: Callable[[], ModuleT], weights: Sized) -> ModuleT:
    """Build a model without memory, on the meta device, to compare its sizes with the weights."""
    registrations = itertools.count(1)

    def count(*_: object) -> None:
        if next(registrations) > REGISTRATIONS_PER_TENSOR * len(weights):
            raise ArtifactError(
                f"the model has many more tensors than the weights ({len(weights)})"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            return build()
    finally:
        hook.remove()


@contextmanager
def weights_must_fit(checkpoint: Checkpoint, which: Which) -> Iterator[None]:
    """Convert the error of a missing tensor, or of a wrong shape, to ArtifactError."""
    try:
        yield
    except (KeyError, RuntimeError, ArtifactError) as error:
        raise ArtifactError(
            f"the weights in {checkpoint.weights_path(which)} do not fit the configuration beside "
            f"them ({' '.join(str(error).split())}); {NEXT_STEP}"
        ) from error


def select_device(device: str | None, accelerator: str) -> torch.device:
    """Return the given device; for None that of the configuration, if this machine has it."""
    name = device or _available(accelerator)
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # no such name, or no such hardware
        raise ConfigurationError(
            f"device={name!r} cannot be used on this machine ({str(error).splitlines()[0]}); "
            "give 'cpu', or None to have it chosen"
        ) from error


def _available(accelerator: str) -> str:
    if accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    if accelerator not in ("auto", "cpu"):
        logger.warning("trained with accelerator=%s; this machine has none, using cpu", accelerator)
    return "cpu"
