"""Configuration values that depend on the machine or on an earlier run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import RunConfig, TrainingConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import RUNTIME
from seqtune.core.resolve import Resolved, flatten

from .precision import Chosen, Device, best_precision, device_type, num_devices_here

RunConfigT = TypeVar("RunConfigT", bound=RunConfig)

PRECISION = "training.precision"
NUM_THREADS = "training.num_threads"
EPOCHS = "training.epochs"


def resolve_auto(resolved: Resolved[RunConfigT]) -> Resolved[RunConfigT]:
    """Replace auto by the values of this machine; refuse values that it does not support."""
    config = resolved.config.training
    device = device_type(config)
    if faults := list(_find_faults(config, device)):
        raise ConfigurationError(faults)
    if (best := _precision(config)) is not None:
        resolved = resolved.replace(PRECISION, best[0], origin=f"auto: {best[1]}")
    if config.num_threads == "auto" and device == "cpu":
        resolved = resolved.replace(
            NUM_THREADS, torch.get_num_threads(), origin="auto: the default of torch"
        )
    return resolved


def with_precision(config: RunConfigT) -> RunConfigT:
    """Replace `precision: auto`, for callers that did not call `resolve_auto`."""
    best = _precision(config.training)
    if best is None:
        return config
    training = config.training.model_copy(update={"precision": best[0]})
    return config.model_copy(update={"training": training})


def values_for_full_data(
    resolved: Resolved[RunConfigT], validated: Path | None, chosen: Mapping[str, str]
) -> Resolved[RunConfigT]:
    """Take what only validation finds out from the checkpoint `validated`: the best epoch, and the
    parameters `chosen` on valid, each with its metric.

    Epochs from the command line take precedence.
    """
    values = dict(flatten(resolved.config.model_dump()))
    is_open = {key: metric for key, metric in chosen.items() if values.get(key) == "auto"}
    has_epochs = resolved.origins.get(EPOCHS) == RUNTIME
    if has_epochs and not is_open:
        return resolved
    if validated is None:
        raise ConfigurationError(
            "training on everything leaves nothing to find the best number of epochs with; train "
            "with validation first (`kedro run --pipelines train` with use_full_data: false), or "
            f"give the number with --params (for example {resolved.config.task}.{EPOCHS}=30)"
        )
    manifest = open_checkpoint(validated).manifest
    origin = f"best epoch of {validated}"
    if not has_epochs:
        resolved = resolved.replace(EPOCHS, manifest.best.epoch, origin=origin)
    before = dict(flatten(manifest.config))  # of an earlier run on all data
    for key, metric in is_open.items():
        value = manifest.best.metrics.get(metric, before.get(key))
        resolved = resolved.replace(key, value, origin=origin)
    return resolved


def _precision(config: TrainingConfig) -> tuple[Chosen, str] | None:
    """Return the precision for auto and the reason; None if one was given."""
    return best_precision(device_type(config)) if config.precision == "auto" else None


def _find_faults(config: TrainingConfig, device: Device) -> Iterator[str]:
    here = num_devices_here(device) or max(2, os.cpu_count() or 1)
    if config.devices != "auto" and config.devices > here:
        yield (
            f"training.devices={config.devices}, but this machine has {here} of {device}"
            f"{' (a process for each core)' if device == 'cpu' else ''}; choose "
            f"{' or '.join(map(str, sorted({1, here})))}, or auto for all of them"
        )
    if config.precision == "fp16" and device == "cpu":
        yield "training.precision=fp16 cannot train on a CPU; choose auto, bf16 or fp32"
