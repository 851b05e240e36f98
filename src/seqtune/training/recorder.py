"""The callback that keeps a run's ledger, saves its resume_checkpoints, and ends it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file
from typing_extensions import override

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import Interrupted, TrainingError
from seqtune.core.files import atomic_write

from . import resume_checkpoints
from .loss_monitor import LossMonitor
from .run_history import Row, RunHistory
from .signals import StopRequest

logger = logging.getLogger(__name__)

Report = Callable[[int, Mapping[str, float]], bool | None]
"""Hears of every epoch (counted from 1) and its metrics; True asks to stop."""
VALIDATION_PREFIX = "val"
TRAIN_LOSS = "train_loss"
TRAIN_SIDE = "train_"
"""`train_x` is kept where `val_x` is: the same metric on what was trained on."""
TWIN = (TRAIN_SIDE, "val_")
AGREE_EVERY = 10
"""Batches between agreements of several ranks on whether to save or stop."""
SAVE = 1
"""Wish for a state; a higher one is for a state and an end, by the signal of the number above."""


class Recorder(Callback):
    """Everything that happens once an epoch, and saving within one."""

    def __init__(
        self,
        ledger: RunHistory,
        *,
        config: TrainingConfig,
        directory: Path,
        losses: LossMonitor,
        report: Report,
        request: StopRequest,
    ) -> None:
        self.ledger = ledger
        self._config = config
        self._directory = directory
        self.losses = losses
        self.report = report
        self._request = request
        self._clock = time.monotonic()
        self._epoch_seconds = 0.0
        self._saved_at = self._clock
        self._was_validated = False
        self._kept_best = ledger.best_file
        self._can_save_within = True

    # what is saved with a state

    @property
    @override
    def state_key(self) -> str:
        return resume_checkpoints.LEDGER

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"ledger": self.ledger.state(), "epoch_seconds": self._epoch_seconds}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.ledger = RunHistory.from_state(state_dict["ledger"])
        self._epoch_seconds = state_dict["epoch_seconds"]
        self._kept_best = self.ledger.best_file

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Leave out what could need code to be loaded: a state holds plain values only."""
        for obj in (pl_module, trainer.datamodule):  # type: ignore[attr-defined]
            if obj is not None:
                checkpoint.pop(obj.CHECKPOINT_HYPER_PARAMS_KEY, None)
                checkpoint.pop(obj.CHECKPOINT_HYPER_PARAMS_TYPE, None)

    # the run

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
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        done = batch_idx + 1
        if done % self._config.accumulate_grad_batches or done >= trainer.num_training_batches:
            return  # gradients are under way, or the epoch's own save comes next
        if trainer.world_size > 1 and done % AGREE_EVERY:
            return
        if wish := self._agreed(trainer, self._wish()):
            if self._can_save_within:
                self._save(trainer)
            self._leave(trainer, wish)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.losses.require_whole_epoch(trainer)
        train_loss = self.losses.mean(trainer)
        validated, self._was_validated = self._was_validated, False
        self._tick()
        _refuse_broken_weights(trainer, pl_module)
        metrics = _validation_metrics(trainer) if validated else {}
        row = {TRAIN_LOSS: train_loss, **metrics, "seconds": self._epoch_seconds}
        self._epoch_seconds = 0.0
        # every rank decides by the numbers and the clock of the first one
        row, self.ledger.seconds = trainer.strategy.broadcast((row, self.ledger.seconds))
        if self.ledger.add(row, was_validated=validated):
            self._write_best(trainer)
        self.ledger.close(asked=self._ask(trainer))
        self._save(trainer)
        trainer.should_stop = bool(self.ledger.stopped)
        if not self.ledger.stopped:
            self._leave(trainer, self._agreed(trainer, self._wish()))

    # parts

    def _ask(self, trainer: Trainer) -> bool:
        wish = False
        if trainer.is_global_zero:
            wish = bool(self.report(self.ledger.epoch, dict(self.ledger.history[-1])))
        return bool(trainer.strategy.reduce_boolean_decision(wish, all=False))

    def _wish(self) -> int:
        if number := self._request.signal_number:
            return SAVE + number
        due = time.monotonic() - self._saved_at >= 60 * self._config.save_state_every_minutes
        return SAVE if due and self._can_save_within else 0

    def _agreed(self, trainer: Trainer, wish: int) -> int:
        """The strongest wish of any rank: not all hear of a signal at the same time."""
        if trainer.world_size == 1:
            return wish
        wishes = torch.tensor(wish, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(wishes, reduce_op="max"))

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

    def _leave(self, trainer: Trainer, wish: int) -> None:
        if (number := wish - SAVE) > 0:
            done = trainer.fit_loop.total_batch_idx + 1
            raise Interrupted(
                f"stopped by signal {number} after {done} batches; the state is in "
                f"{self._directory}. The same command goes on from there",
                signal_number=number,
            )


def write_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Safetensors, complete or not there; tensors that share memory are written as copies."""
    own = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
    with atomic_write(path) as partial:
        save_file(own, partial)


def _validation_metrics(trainer: Trainer) -> Row:
    logged = trainer.callback_metrics
    return {name: float(value) for name, value in logged.items() if is_kept(name, logged)}


def is_kept(name: str, logged: Mapping[str, Any]) -> bool:
    """Whether a logged metric enters the history."""
    if name == TRAIN_LOSS:
        return False  # ours survives a resume
    has_twin = name.startswith(TRAIN_SIDE) and name.replace(*TWIN, 1) in logged
    return has_twin or name.startswith(VALIDATION_PREFIX)


def _refuse_broken_weights(trainer: Trainer, pl_module: LightningModule) -> None:
    tensors = [p for p in pl_module.parameters() if p.requires_grad]  # others never change
    if tensors and not torch.stack([p.detach().isfinite().all() for p in tensors]).all():
        raise TrainingError(
            f"the weights hold values that are no numbers after epoch {trainer.current_epoch + 1}; "
            "try a lower training.lr, or training.precision=fp32. Nothing of this run is kept as a "
            "checkpoint"
        )
