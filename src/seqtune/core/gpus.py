"""The GPUs of this machine as NVIDIA's driver lists them, without torch and without CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .format import MIB


@dataclass(frozen=True)
class GpuUse:
    """How busy and how full a GPU is."""

    index: str
    uuid: str
    busy_percent: float
    used_mib: float


def list_gpus() -> tuple[str, ...]:
    """Names that CUDA_VISIBLE_DEVICES takes: slices where a GPU is cut into them, else numbers."""
    import pynvml

    numbers, slices = [], []
    for number, handle in _handles():
        numbers.append(str(number))
        with suppress(pynvml.NVMLError):  # not a GPU that can be cut
            for place in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with suppress(pynvml.NVMLError):  # no slice in that place
                    part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
                    slices.append(str(pynvml.nvmlDeviceGetUUID(part)))
    return tuple(slices or numbers)


def measure_gpus() -> list[GpuUse]:
    """What each GPU does now; a GPU that is cut into slices does not tell."""
    import pynvml

    found = []
    for number, handle in _handles():
        with suppress(pynvml.NVMLError):
            uuid = str(pynvml.nvmlDeviceGetUUID(handle))
            busy = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            # of this version `used` is what nvidia-smi shows: without what the driver keeps
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
            found.append(GpuUse(str(number), uuid, busy, memory.used / MIB))
    return found


def _handles() -> Iterator[tuple[int, Any]]:
    """All GPUs; none where there is no driver, or where it fails."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return
    try:
        for number in range(pynvml.nvmlDeviceGetCount()):
            yield number, pynvml.nvmlDeviceGetHandleByIndex(number)
    except pynvml.NVMLError:
        return
    finally:
        pynvml.nvmlShutdown()
