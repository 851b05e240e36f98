"""`profile_steps`: a few steps of a training, built exactly as `fit` does, that leave no trace.

A dry run before a trial (does it fit into memory, how long does a step take, which parameters are
read) and a proof (two rehearsals of equal configurations give equal losses, to the last bit).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from seqtune.core.config import RunConfig
from seqtune.core.errors import Interrupted
from seqtune.core.files import write_json
from seqtune.core.format import MIB
from seqtune.core.task import TaskSpec, TrainingData

from .auto_values import with_precision
from .loss_monitor import LossMonitor
from .memory import PeakMemory
from .precision import device_type
from .recorder import is_kept
from .run_history import RunHistory
from .session import Session, loss_monitor, refuse_what_has_no_effect
from .signals import StopRequest

FINDINGS = "rehearsal.json"


@dataclass(frozen=True)
class StepProfile:
    """What a few steps of a training showed."""

    losses: tuple[float, ...]
    """Of every step, exact; of the first device where there are several."""
    metrics: tuple[str, ...]
    """Names of what validation logs, `train_loss` among them; what may be monitored."""
    step_seconds: float
    """Mean of the steps but the first, which takes longer; of the first if it is the only one."""
    validation_seconds_per_row: float | None
    """None where nothing is validated."""
    peak_memory_mib: float | None
    """Above what was in use before: what the device allocated, or the growth of the process on a
    CPU. None where this machine does not tell."""
    model_mib: float
    num_parameters: int
    num_batches: int = 0
    """Of a whole epoch of training."""
    validation_seconds: float | None = None
    """Of a whole validation, going by its first batch; None where nothing is validated."""


def profile_steps(
    spec: TaskSpec,
    config: RunConfig,
    data: TrainingData,
    *,
    num_steps: int = 2,
    directory: Path,
) -> StepProfile:
    """Train `num_steps` batches from the seed, validate one batch; nothing stays in `directory`.

    Raises InfeasibleError where memory does not suffice, and whatever `fit` would raise in its
    first steps.
    """
    config = with_precision(config)
    refuse_what_has_no_effect(config, data)
    training = config.training
    ledger = RunHistory.start(training, fingerprint="", validated=data.has_validation)
    losses, request = loss_monitor(training), StopRequest()
    memory = PeakMemory(device_type(training))
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="rehearsal-", dir=directory) as folder:
        steps = StepProfiler(
            num_steps,
            accumulate=training.accumulate_grad_batches,
            watch=losses,
            request=request,
            memory=memory,
            out=Path(folder) / FINDINGS,
        )
        session = Session(spec, config, data, Path(folder))
        session.run([steps], losses=losses, request=request)
        found = json.loads((Path(folder) / FINDINGS).read_text(encoding="utf-8"))
    # the names alone count: one that is monitored and not among them is refused
    ledger.add(dict.fromkeys(found["metrics"], 0.0), was_validated=data.has_validation)
    return StepProfile(**{name: _frozen(value) for name, value in found.items()})


class StepProfiler(Callback):
    """Ends a training after a few steps and writes down what it saw.

    Into a file, because with several devices it lives in another process.
    """

    def __init__(
        self,
        num_steps: int,
        *,
        accumulate: int,
        watch: LossMonitor,
        request: StopRequest,
        memory: PeakMemory,
        out: Path,
    ) -> None:
        self._num_steps = num_steps
        self._accumulate = accumulate
        self._watch = watch
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
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._clock = time.perf_counter()

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._watch.flush(trainer)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None:
            # waits for the device; Lightning has divided the loss
            self._losses.append(loss.detach().float().item() * self._accumulate)
        self._seconds.append(time.perf_counter() - self._clock)
        self._leave_if_asked()
        if len(self._seconds) >= self._num_steps:
            trainer.should_stop = True

    @override
    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
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
            _wait_for(pl_module.device)
            seconds = time.perf_counter() - self._clock
            self._validation = seconds / rows
            self._validation_whole = seconds * _num_batches(trainer.val_dataloaders)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            write_json(self._out, self._findings(trainer, pl_module))

    def _findings(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        warm = self._seconds[1:] or self._seconds
        logged = trainer.callback_metrics
        return {
            "losses": self._losses,
            "metrics": ["train_loss", *sorted(name for name in logged if is_kept(name, logged))],
            "step_seconds": sum(warm) / max(len(warm), 1),
            "validation_seconds_per_row": self._validation,
            "peak_memory_mib": self._memory.mib(),
            "model_mib": sum(map(_num_bytes, _state(module))) / MIB,
            "num_parameters": sum(parameter.numel() for parameter in module.parameters()),
            "num_batches": int(trainer.num_training_batches),
            "validation_seconds": self._validation_whole,
        }

    def _leave_if_asked(self) -> None:
        if number := self._request.signal_number:
            raise Interrupted(f"stopped by signal {number}", signal_number=number)


def num_rows(batch: Any) -> int:
    """Length of the first tensor in a batch, however it is nested."""
    return next((len(tensor) for tensor in _tensors(batch)), 0)


def _num_batches(loaders: Any) -> int:
    """Of the first loader; 1 where it does not tell."""
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


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _num_bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _state(module: LightningModule) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
