"""Progress of a training: a bar on a terminal, a log line for each epoch elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import override

from seqtune.core.format import format_duration

from .recorder import Recorder

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.1


def progress_callback(recorder: Recorder) -> Callback:
    """Return a bar if standard error is a terminal, else log lines."""
    return TrainingBar(recorder) if sys.stderr.isatty() else TrainingLines(recorder)


class TrainingLines(Callback):
    """A log line for each epoch."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            logger.info("%s", epoch_line(self._recorder))


class TrainingBar(Callback):
    """A bar over all epochs and their batches."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._progress: Progress | None = None
        self._next_update = 0.0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        total = int(trainer.num_training_batches) * self._recorder.ledger.epochs
        done = trainer.fit_loop.total_batch_idx + 1
        self._progress.add_task("training", total=total, completed=done)
        self._progress.start()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if self._progress is None or now < self._next_update:
            return
        self._next_update = now + SECONDS_BETWEEN_UPDATES
        self._show(trainer, "")

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer, " validating")

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer, "")

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def _show(self, trainer: Trainer, doing: str) -> None:
        if self._progress is not None:
            self._progress.update(
                self._progress.task_ids[0],
                completed=trainer.fit_loop.total_batch_idx + 1,
                description=bar_text(self._recorder, epoch=trainer.current_epoch + 1) + doing,
            )

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def bar_text(recorder: Recorder, *, epoch: int) -> str:
    """Describe the epoch: its mean loss, the monitored metric and its best value so far."""
    ledger, loss = recorder.ledger, recorder.losses.so_far
    parts = [f"epoch {epoch}/{ledger.epochs}"]
    if loss is not None:
        parts.append(f"loss {loss:.4f}")
    if ledger.monitor and ledger.best_epoch:
        scores = [row[ledger.monitor] for row in ledger.history if ledger.monitor in row]
        best = ledger.best_row[ledger.monitor]
        parts.append(f"{ledger.monitor} {scores[-1]:.4f} (best {best:.4f})")
    return " ".join(parts)


def epoch_line(recorder: Recorder) -> str:
    """Describe the epoch that has just ended."""
    ledger = recorder.ledger
    row = ledger.history[-1]
    parts = [f"epoch {ledger.epoch}/{ledger.epochs}", f"train_loss {row['train_loss']:.4f}"]
    if ledger.monitor and ledger.monitor in row:
        best = f"best {ledger.best_row[ledger.monitor]:.4f} in epoch {ledger.best_epoch}"
        parts.append(f"{ledger.monitor} {row[ledger.monitor]:.4f} ({best})")
    parts.append(format_duration(row["seconds"]))
    if left := ledger.epochs - ledger.epoch:
        parts.append(f"about {format_duration(left * ledger.seconds / ledger.epoch)} left")
    return ", ".join(parts)
