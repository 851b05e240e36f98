"""Memory available for a training, its peak in a run, and the error when it runs out."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import InfeasibleError
from seqtune.core.format import MIB

from .precision import Device, device_type, num_devices_here

USABLE = 0.9
"""Usable share; the rest is a reserve for what the estimates do not cover."""
OUT_OF_MEMORY = "out of memory"
"""Name of the violated constraint."""
TRIM_EVERY_SECONDS = 5.0
_CLEAR_PEAK = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_WORDS = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def available_memory_mib(config: TrainingConfig, *, sharers: int = 1) -> float | None:
    """Return the share of one of `sharers` trainings at once; None if unknown.

    Trainings are spread over all GPUs, so only those on the same GPU share its memory.
    """
    device = device_type(config)
    if device == "cuda":
        devices = num_devices_here(device) or 1
        free, _total = torch.cuda.mem_get_info()
        return USABLE * free / MIB / -(-sharers // devices)
    if device == "cpu":
        free_bytes = min(float(psutil.virtual_memory().available), _free_in_container())
        return USABLE * free_bytes / MIB / sharers
    return None


def _free_in_container() -> float:
    """Return the free bytes below the limit of this container, if it has one."""
    try:
        limit, used = (
            float((Path("/sys/fs/cgroup") / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # no such limit ("max")
        return math.inf
    return limit - used


@contextmanager
def out_of_memory_is_infeasible(config: TrainingConfig) -> Iterator[None]:
    """Convert out-of-memory errors to InfeasibleError, and free the memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _free(error)
        raise InfeasibleError(_message(config, error), constraint=OUT_OF_MEMORY) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; some allocators raise a plain RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


class TrimHeap(Callback):
    """Returns free memory to the system after an epoch, at most every TRIM_EVERY_SECONDS.

    Batches differ in length and leave gaps in the heap, of which glibc returns only the last; the
    peak of a training would grow from epoch to epoch.
    """

    def __init__(self) -> None:
        self._next = -math.inf

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if time.monotonic() >= self._next:
            _trim_heap()
            self._next = time.monotonic() + TRIM_EVERY_SECONDS


class PeakMemory:
    """The growth of memory to its peak since the object was created."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._process = os.getpid()
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            _trim_heap()  # else a trim in between could lower the peak below what was there before
            with suppress(OSError):  # reset the peak of this process
                _CLEAR_PEAK.write_text("5")
            self._before = _status("VmRSS")

    def mib(self) -> float | None:
        """Return the growth; None if unknown, or in another process."""
        if self._device == "cuda":
            return (torch.cuda.max_memory_allocated() - self._before) / MIB
        grown = _status("VmHWM") - self._before
        is_known = self._device == "cpu" and os.getpid() == self._process and grown > 0
        return grown / MIB if is_known else None


def _trim_heap() -> None:
    """Return the gaps of glibc's heap to the system; do nothing with other C libraries."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _status(name: str) -> int:
    """Return a number of bytes from /proc; 0 on other systems than Linux."""
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def _free(error: BaseException) -> None:
    """Clear the frames of the error, which hold the model, its gradients and the batch."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _message(config: TrainingConfig, error: BaseException) -> str:
    cause = next(iter(str(error).splitlines()), "") or type(error).__name__
    return (
        f"memory does not suffice with training.batch_size={config.batch_size} and "
        f"training.precision={config.precision} ({cause}); choose a smaller batch (with a larger "
        "training.accumulate_grad_batches the steps stay the same), a smaller model, or a device "
        "with more memory"
    )
