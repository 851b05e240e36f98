"""The GPUs of this machine as NVIDIA's driver lists them, without torch and without CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .format import MIB


@dataclass(frozen=True)
class GpuUse:
    """Load and memory use of a GPU."""

    index: str
    uuid: str
    busy_percent: float
    used_mib: float


def list_gpus() -> tuple[str, ...]:
    """Return names for CUDA_VISIBLE_DEVICES: UUIDs of MIG slices if there are any, else numbers."""
    import pynvml

    numbers, slices = [], []
    for number, handle in _handles():
        numbers.append(str(number))
        with suppress(pynvml.NVMLError):  # a GPU without MIG
            for place in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with suppress(pynvml.NVMLError):  # no slice at that index
                    part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
                    slices.append(str(pynvml.nvmlDeviceGetUUID(part)))
    return tuple(slices or numbers)


def measure_gpus() -> list[GpuUse]:
    """Measure the load of each GPU; one in MIG mode does not report it."""
    import pynvml

    found = []
    for number, handle in _handles():
        with suppress(pynvml.NVMLError):
            uuid = str(pynvml.nvmlDeviceGetUUID(handle))
            busy = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            # in this version `used` excludes what the driver reserves, as in nvidia-smi
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
            found.append(GpuUse(str(number), uuid, busy, memory.used / MIB))
    return found


def _handles() -> Iterator[tuple[int, Any]]:
    """Yield all GPUs; none if the driver is missing or fails."""
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
