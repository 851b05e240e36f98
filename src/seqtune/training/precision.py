"""The device and the number format of a training on this machine."""

from __future__ import annotations

import os
from typing import Literal

import torch

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError

Device = Literal["cpu", "cuda", "mps"]
Chosen = Literal["fp32", "bf16", "fp16"]

LIGHTNING_NAMES: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


def device_type(config: TrainingConfig) -> Device:
    """Resolve training.accelerator on this machine; refuse one that is missing."""
    here: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if config.accelerator == "auto":
        return next(device for device, is_here in here.items() if is_here)
    if not here[config.accelerator]:
        usable = ", ".join(["auto", *(device for device, is_here in here.items() if is_here)])
        raise ConfigurationError(
            f"training.accelerator={config.accelerator} cannot be used: this machine, or this "
            f"build of torch ({torch.__version__}), has none; choose one of {usable}"
        )
    return config.accelerator


def best_precision(device: Device) -> tuple[Chosen, str]:
    """Return the fastest format that trains well on a device, and the reason."""
    if device == "cpu":
        able = torch.cpu.get_capabilities()
        for flag, name in (("amx_bf16", "AMX bf16"), ("avx512_bf16", "AVX-512 bf16")):
            if able.get(flag):
                return "bf16", f"CPU with {name}"
        return "fp32", "CPU without bf16"
    if device == "mps":
        return "fp32", "Apple GPU"
    name = torch.cuda.get_device_name()
    has_bf16 = torch.cuda.get_device_capability() >= (8, 0)
    return ("bf16", f"{name} with bf16") if has_bf16 else ("fp16", f"{name} without bf16")


def describe_device(config: TrainingConfig) -> str:
    """Describe the device."""
    device = device_type(config)
    if device == "cuda":
        return f"{torch.cuda.get_device_name()} (CUDA, {torch.cuda.device_count()} here)"
    if device == "mps":
        return "Apple GPU"
    return f"CPU with {os.cpu_count()} cores, num_threads {config.num_threads}"


def num_devices_here(device: Device) -> int | None:
    """Count the devices; None if any number of processes can share one."""
    if device == "cuda":
        return torch.cuda.device_count()
    return 1 if device == "mps" else None
