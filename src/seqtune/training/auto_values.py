"""Values of a configuration that only the machine, or an earlier run, can give."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import RunConfig, TrainingConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import RUNTIME
from seqtune.core.resolve import Resolved

from .precision import Chosen, Device, best_precision, device_type, num_devices_here

RunConfigT = TypeVar("RunConfigT", bound=RunConfig)

PRECISION = "training.precision"
NUM_THREADS = "training.num_threads"
EPOCHS = "training.epochs"


def resolve_auto(resolved: Resolved[RunConfigT]) -> Resolved[RunConfigT]:
    """Replace what is auto by what this machine does; refuse what it cannot do."""
    config = resolved.config.training
    device = device_type(config)
    faults = [fault for fault in (_too_many(config, device), _fp16(config, device)) if fault]
    if faults:
        raise ConfigurationError(faults)
    if (best := _precision(config)) is not None:
        resolved = resolved.replace(PRECISION, best[0], origin=f"auto: {best[1]}")
    if config.num_threads == "auto" and device == "cpu":
        resolved = resolved.replace(
            NUM_THREADS, torch.get_num_threads(), origin="auto: what torch takes here"
        )
    return resolved


def with_precision(config: RunConfigT) -> RunConfigT:
    """The configuration with `precision: auto` settled, for callers that did not."""
    best = _precision(config.training)
    if best is None:
        return config
    training = config.training.model_copy(update={"precision": best[0]})
    return config.model_copy(update={"training": training})


def epochs_for_full_data(
    resolved: Resolved[RunConfigT], validated: Path | None
) -> Resolved[RunConfigT]:
    """Training on everything takes as many epochs as the validated run found best.

    `validated` is the checkpoint of that run. Epochs given on the command line win.
    """
    if resolved.origins.get(EPOCHS) == RUNTIME:
        return resolved
    if validated is None:
        raise ConfigurationError(
            "training on everything leaves nothing to find the best number of epochs with; train "
            "with validation first (`kedro run --pipelines train` with use_full_data: false), or "
            f"give the number with --params (for example {resolved.config.task}.{EPOCHS}=30)"
        )
    manifest = open_checkpoint(validated).manifest
    origin = f"best epoch of {validated}"
    return resolved.replace(EPOCHS, manifest.best.epoch, origin=origin)


def _precision(config: TrainingConfig) -> tuple[Chosen, str] | None:
    """What auto means here, and why; None where a precision was given."""
    return best_precision(device_type(config)) if config.precision == "auto" else None


def _too_many(config: TrainingConfig, device: Device) -> str | None:
    here = num_devices_here(device)
    if here is None or config.devices == "auto" or config.devices <= here:
        return None
    return (
        f"training.devices={config.devices}, but this machine has {here} of {device}; choose "
        f"{' or '.join(map(str, sorted({1, here})))}, or auto for all of them"
    )


def _fp16(config: TrainingConfig, device: Device) -> str | None:
    if config.precision != "fp16" or device != "cpu":
        return None
    return "training.precision=fp16 cannot train on a CPU; choose auto, bf16 or fp32"
