"""How much memory there is to train in."""

from __future__ import annotations

import math
from pathlib import Path

import psutil
import torch

from seqtune.core.config import TrainingConfig
from seqtune.core.format import MIB

from .precision import device_type, num_devices_here

USABLE = 0.9
"""Share that may be planned with; the rest is for what no estimate knows."""


def available_memory_mib(config: TrainingConfig, *, sharers: int = 1) -> float | None:
    """What one of so many trainings at once may take; None where nobody can say.

    On GPUs only those count that share a device: workers are spread over all of them.
    """
    device = device_type(config)
    if device == "cuda":
        devices = num_devices_here(device) or 1
        free, _total = torch.cuda.mem_get_info()
        return USABLE * free / MIB / -(-sharers // devices)
    if device == "cpu":
        return USABLE * _free_memory() / MIB / sharers
    return None


def _free_memory() -> float:
    """Bytes that are free on this machine, or in this container if that has fewer."""
    return min(float(psutil.virtual_memory().available), _free_in_container())


def _free_in_container() -> float:
    try:
        limit, used = (
            float((Path("/sys/fs/cgroup") / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # no such limit ("max")
        return math.inf
    return limit - used
