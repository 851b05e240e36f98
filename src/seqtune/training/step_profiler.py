"""`profile_steps`: take a few steps of a training, built exactly as by `fit`, and leave no files.

Used as a dry run before trials (memory, seconds of a step, parameters read), and to verify that
equal configurations give equal losses, bit for bit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from seqtune.core.config import RunConfig
from seqtune.core.errors import Interrupted
from seqtune.core.files import claimed_folder, write_json
from seqtune.core.format import MIB
from seqtune.core.task import TaskSpec, TrainingData

from .auto_values import with_precision
from .loss_monitor import LossMonitor
from .memory import PeakMemory
from .precision import device_type
from .recorder import is_kept
from .run_history import RunHistory
from .session import Session, require_validation
from .signals import StopRequest

PROFILE_FILE = "profile.json"


@dataclass(frozen=True)
class StepProfile:
    """Measurements of a few steps of a training."""

    losses: tuple[float, ...]
    """The exact loss of every step, on the first of several devices."""
    metrics: tuple[str, ...]
    """Names of the logged metrics, `train_loss` included; those that can be monitored."""
    step_seconds: float
    """Mean over the steps without the first, which takes longer, unless it is the only one."""
    validation_seconds_per_row: float | None
    """None without validation."""
    peak_memory_mib: float | None
    """Memory that the device allocated, or the growth of the process on a CPU; None if unknown."""
    model_mib: float
    num_parameters: int
    num_batches: int = 0
    """In an epoch of training."""
    validation_seconds: float | None = None
    """Of a whole validation, estimated from its first batch; None without validation."""


def profile_steps(
    spec: TaskSpec,
    config: RunConfig,
    data: TrainingData,
    *,
    num_steps: int = 2,
    directory: Path,
) -> StepProfile:
    """Train `num_steps` batches from the seed and validate one batch; keep nothing in `directory`.

    Raises InfeasibleError if memory runs out, and whatever `fit` would raise in its first steps.
    """
    config = with_precision(config)
    require_validation(config, data)
    training = config.training
    ledger = RunHistory.start(training, fingerprint="", validated=data.has_validation)
    memory = PeakMemory(device_type(training))
    directory.mkdir(parents=True, exist_ok=True)
    with claimed_folder(directory, "profile") as folder:
        session = Session(spec, config, data, folder)
        accumulate, out = training.accumulate_grad_batches, folder / PROFILE_FILE
        session.run(
            [StepProfiler(num_steps, accumulate, session.losses, session.request, memory, out)]
        )
        found = json.loads(out.read_text(encoding="utf-8"))
    # refuses a monitored metric that was not logged; the values do not matter
    ledger.add(dict.fromkeys(found["metrics"], 0.0), was_validated=data.has_validation)
    found |= {name: tuple(found[name]) for name in ("losses", "metrics")}
    return StepProfile(**found)


class StepProfiler(Callback):
    """Ends a training after a few steps and writes its measurements.

    To a file, because with several devices it runs in another process.
    """

    def __init__(
        self,
        num_steps: int,
        accumulate: int,
        monitor: LossMonitor,
        request: StopRequest,
        memory: PeakMemory,
        out: Path,
    ) -> None:
        self._num_steps = num_steps
        self._accumulate = accumulate
        self._monitor = monitor
        self._request = request
        self._memory = memory
        self._out = out
        self._losses: list[float] = []
        self._seconds: list[float] = []
        self._validation: float | None = None
        self._validation_whole: float | None = None
        self._clock = 0.0

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        trainer.limit_val_batches = 1 if trainer.limit_val_batches else 0
        trainer.check_val_every_n_epoch = 1

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._request.install()  # after Lightning's own handlers, which it has just set

    @override
    def on_train_batch_start(self, *args: Any, **kwargs: Any) -> None:
        self._clock = time.perf_counter()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._monitor.flush(trainer)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None:
            # waits for the device; Lightning has divided the loss
            self._losses.append(loss.detach().float().item() * self._accumulate)
        self._seconds.append(time.perf_counter() - self._clock)
        if number := self._request.signal_number:
            raise Interrupted(f"stopped by signal {number}", signal_number=number)
        if len(self._seconds) >= self._num_steps:
            trainer.should_stop = True

    @override
    def on_validation_batch_start(self, *args: Any, **kwargs: Any) -> None:
        self._clock = time.perf_counter()

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if dataloader_idx == 0 and (rows := num_rows(batch)):
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            seconds = time.perf_counter() - self._clock
            self._validation = seconds / rows
            self._validation_whole = seconds * _num_batches(trainer.val_dataloaders)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            write_json(self._out, self._measurements(trainer, pl_module))

    def _measurements(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        warm = self._seconds[1:] or self._seconds
        logged = trainer.callback_metrics
        tensors = (*module.parameters(), *module.buffers())
        return {
            "losses": self._losses,
            "metrics": ["train_loss", *sorted(name for name in logged if is_kept(name, logged))],
            "step_seconds": sum(warm) / max(len(warm), 1),
            "validation_seconds_per_row": self._validation,
            "peak_memory_mib": self._memory.mib(),
            "model_mib": sum(tensor.nbytes for tensor in tensors) / MIB,
            "num_parameters": sum(parameter.numel() for parameter in module.parameters()),
            "num_batches": int(trainer.num_training_batches),
            "validation_seconds": self._validation_whole,
        }


def num_rows(batch: Any) -> int:
    """Return the length of the first tensor in a nested batch."""
    return next((len(tensor) for tensor in _tensors(batch)), 0)


def _num_batches(loaders: Any) -> int:
    """Return the length of the first loader; 1 if it has none."""
    first = loaders[0] if isinstance(loaders, list) else loaders
    return len(first) if hasattr(first, "__len__") else 1


def _tensors(batch: Any) -> Iterator[torch.Tensor]:
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        yield from _tensors(list(batch.values()))
    elif isinstance(batch, Sequence) and not isinstance(batch, str):
        for part in batch:
            yield from _tensors(part)
