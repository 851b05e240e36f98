"""How much memory a run takes, and what happens when it does not suffice."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import InfeasibleError
from seqtune.core.format import MIB

from .precision import Device

OUT_OF_MEMORY = "out of memory"
"""Name of the constraint."""
_CLEAR_PEAK = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_WORDS = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


@contextmanager
def out_of_memory_is_infeasible(config: TrainingConfig) -> Iterator[None]:
    """Raise InfeasibleError in place of what torch and Python raise, and free what was taken."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _free(error)
        raise InfeasibleError(_message(config, error), constraint=OUT_OF_MEMORY) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice; not every allocator has a class of its own for it."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


class PeakMemory:
    """The most memory in use since it was made, above what was in use then."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._process = os.getpid()
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            with suppress(OSError):  # forget the peak of what this process did before
                _CLEAR_PEAK.write_text("5")
            self._before = _status("VmRSS")

    def mib(self) -> float | None:
        """None where the system does not tell, or in another process than the one it began in."""
        if self._device == "cuda":
            return (torch.cuda.max_memory_allocated() - self._before) / MIB
        grown = _status("VmHWM") - self._before
        is_known = self._device == "cpu" and os.getpid() == self._process and grown > 0
        return grown / MIB if is_known else None


def _status(name: str) -> int:
    """Bytes that Linux gives for this process; 0 elsewhere."""
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def _free(error: BaseException) -> None:
    """The frames of the error hold the model, its gradients and the batch."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _message(config: TrainingConfig, error: BaseException) -> str:
    told = next(iter(str(error).splitlines()), "") or type(error).__name__
    return (
        f"memory does not suffice with training.batch_size={config.batch_size} and "
        f"training.precision={config.precision} ({told}); choose a smaller batch (with a larger "
        "training.accumulate_grad_batches the steps stay the same), a smaller model, or a device "
        "with more memory"
    )
