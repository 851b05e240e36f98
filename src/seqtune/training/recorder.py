"""The callback that keeps the history of a run, saves its states, and ends it."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors import SafetensorError
from safetensors.torch import save_file
from typing_extensions import override

from seqtune.core.config import RunConfig
from seqtune.core.errors import Interrupted, TrainingError
from seqtune.core.files import atomic_write, reset_permissions

from . import resume_checkpoints
from .loss_monitor import LossMonitor
from .run_history import RunHistory
from .signals import StopRequest

logger = logging.getLogger(__name__)

EpochCallback = Callable[[int, Mapping[str, float]], bool | None]
"""Called with every epoch (counted from 1) and its metrics; returns True to stop."""
VALIDATION_PREFIX = "val"
TRAIN_LOSS = "train_loss"
TRAIN_PREFIX = "train_"
"""`train_x` is kept if there is a `val_x`: the same metric on training rows."""
AGREE_EVERY = 10
"""Batches after which several ranks agree on whether to save or stop."""
SAVE = 1
"""A request to save; SAVE + n is one to save and then stop by signal n."""


class Recorder(Callback):
    """Ends each epoch, and saves within one."""

    def __init__(
        self,
        ledger: RunHistory,
        losses: LossMonitor,
        report: EpochCallback,
        request: StopRequest,
        config: RunConfig,
        directory: Path,
    ) -> None:
        self.ledger = ledger
        self.losses = losses
        self.report = report
        self._request = request
        self._config = config.training
        self._directory = directory
        self._clock = time.monotonic()
        self._epoch_seconds = 0.0
        self._saved_at = self._clock
        self._was_validated = False
        self._kept_best = ledger.best_file
        self._can_save_within = True

    @property
    @override
    def state_key(self) -> str:
        return resume_checkpoints.LEDGER

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"ledger": asdict(self.ledger), "epoch_seconds": self._epoch_seconds}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.ledger = RunHistory(**state_dict["ledger"])
        self._epoch_seconds = state_dict["epoch_seconds"]
        self._kept_best = self.ledger.best_file

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Leave out hyperparameters: a state holds plain values that load without running code."""
        for obj in (pl_module, trainer.datamodule):  # type: ignore[attr-defined]
            if obj is not None:
                checkpoint.pop(obj.CHECKPOINT_HYPER_PARAMS_KEY, None)
                checkpoint.pop(obj.CHECKPOINT_HYPER_PARAMS_TYPE, None)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._request.install()  # after Lightning's own handlers, which it has just set
        loader = trainer.train_dataloader
        self._can_save_within = hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")
        self._clock = self._saved_at = time.monotonic()

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._was_validated = True

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        if done % self._config.accumulate_grad_batches or done >= trainer.num_training_batches:
            return  # gradients are being accumulated, or the epoch's own save comes next
        if trainer.world_size > 1 and done % AGREE_EVERY:
            return
        if request := self._agree_on_request(trainer):
            if self._can_save_within:
                self._save(trainer)
            self._stop_if_requested(trainer, request)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.losses.require_whole_epoch(trainer)
        train_loss = self.losses.mean(trainer)
        validated, self._was_validated = self._was_validated, False
        self._tick()
        _refuse_broken_weights(trainer, pl_module)
        logged = trainer.callback_metrics if validated else {}
        metrics = {name: float(value) for name, value in logged.items() if is_kept(name, logged)}
        row = {TRAIN_LOSS: train_loss, **metrics, "seconds": self._epoch_seconds}
        self._epoch_seconds = 0.0
        # all ranks decide by the numbers and the clock of rank 0
        row, self.ledger.seconds = trainer.strategy.broadcast((row, self.ledger.seconds))
        if self.ledger.add(row, was_validated=validated):
            self._write_best(trainer)
        self.ledger.close(asked=self._ask(trainer))
        self._save(trainer)
        trainer.should_stop = bool(self.ledger.stopped)
        if not self.ledger.stopped:
            self._stop_if_requested(trainer, self._agree_on_request(trainer))

    def _ask(self, trainer: Trainer) -> bool:
        asked = False
        if trainer.is_global_zero:
            asked = bool(self.report(self.ledger.epoch, dict(self.ledger.history[-1])))
        return bool(trainer.strategy.reduce_boolean_decision(asked, all=False))

    def _agree_on_request(self, trainer: Trainer) -> int:
        """Return the highest request of all ranks: signals do not reach all at the same time."""
        due = time.monotonic() - self._saved_at >= 60 * self._config.save_state_every_minutes
        request = SAVE if due and self._can_save_within else 0
        if number := self._request.signal_number:
            request = SAVE + number
        if trainer.world_size == 1:
            return request
        own = torch.tensor(request, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(own, reduce_op="max"))

    def _tick(self) -> None:
        now = time.monotonic()
        self._epoch_seconds += now - self._clock
        self.ledger.seconds += now - self._clock
        self._clock = now

    def _save(self, trainer: Trainer) -> None:
        self.losses.agree(trainer)
        self._tick()
        trainer.save_checkpoint(
            resume_checkpoints.partial_path(self._directory), weights_only=False
        )
        if trainer.is_global_zero:
            batches = trainer.fit_loop.total_batch_idx + 1
            keep = {self.ledger.best_file, self._kept_best}
            resume_checkpoints.accept(self._directory, num_batches=batches, keep=keep)
        self._kept_best = self.ledger.best_file
        self._saved_at = time.monotonic()

    def _write_best(self, trainer: Trainer) -> None:
        self.ledger.best_file = f"best-{self.ledger.epoch:04d}.safetensors"
        weights = trainer.strategy.lightning_module_state_dict()
        if trainer.is_global_zero:
            write_weights(self._directory / self.ledger.best_file, weights)

    def _stop_if_requested(self, trainer: Trainer, request: int) -> None:
        if (number := request - SAVE) > 0:
            done = trainer.fit_loop.total_batch_idx + 1
            raise Interrupted(
                f"stopped by signal {number} after {done} batches; the state is in "
                f"{self._directory}. The same command resumes from there",
                signal_number=number,
            )


def write_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write safetensors atomically; tensors that share memory are copied."""
    own = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
    with atomic_write(path) as partial:
        try:
            save_file(own, partial)
        except SafetensorError as error:  # of a full disk too, with the number in the text only
            if number := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
            raise
        reset_permissions(partial)


def is_kept(name: str, logged: Mapping[str, Any]) -> bool:
    """Whether a logged metric enters the history."""
    if name == TRAIN_LOSS:
        return False  # only the mean of LossMonitor survives a resume
    if name.startswith(TRAIN_PREFIX):
        return f"val_{name.removeprefix(TRAIN_PREFIX)}" in logged
    return name.startswith(VALIDATION_PREFIX)


def _refuse_broken_weights(trainer: Trainer, pl_module: LightningModule) -> None:
    tensors = [p for p in pl_module.parameters() if p.requires_grad]  # others never change
    if tensors and not torch.stack([p.detach().isfinite().all() for p in tensors]).all():
        raise TrainingError(
            f"the weights hold values that are not finite after epoch {trainer.current_epoch + 1}; "
            "try a lower training.lr, or training.precision=fp32. Nothing of this run is kept as a "
            "checkpoint"
        )
