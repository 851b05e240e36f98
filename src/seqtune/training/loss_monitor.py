"""The mean loss of an epoch, and the end of a run whose loss is no number any more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from seqtune.core.errors import TrainingError

CHECK_EVERY = 50
"""Batches between looks at the loss on a device where each look waits for the device."""


class LossMonitor(Callback):
    """Sums the loss of every batch itself: Lightning's own epoch means do not survive a resume."""

    def __init__(self, *, accumulate: int, precision: str) -> None:
        self._accumulate = accumulate
        self._precision = precision
        self._sum = 0.0
        self._count = 0
        self._num_batches = 0
        self._pending: torch.Tensor | None = None
        self._num_pending = 0

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sum, self._count, self._num_batches = 0.0, 0, 0

    @override
    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._num_batches += 1
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is None:
            return
        pending = loss.detach().float()
        self._pending = pending if self._pending is None else self._pending + pending
        self._num_pending += 1
        if pending.device.type == "cpu" or self._num_pending >= CHECK_EVERY:
            self.flush(trainer)

    def flush(self, trainer: Trainer) -> None:
        """Take in what is still on the device; raises if it is no number."""
        if self._pending is None:
            return
        value = self._pending.item() * self._accumulate  # Lightning divides by it
        self._pending, count, self._num_pending = None, self._num_pending, 0
        if not math.isfinite(value):
            raise TrainingError(self._complaint(trainer, value))
        self._sum += value
        self._count += count

    @property
    def so_far(self) -> float | None:
        """The mean of what was taken in already; never waits for the device."""
        return self._sum / self._count if self._count else None

    def require_whole_epoch(self, trainer: Trainer) -> None:
        """A loader that loses its place must not pass for one with fewer batches."""
        if self._num_batches != trainer.num_training_batches:
            raise TrainingError(
                f"epoch {trainer.current_epoch + 1} had {self._num_batches} batches of "
                f"{trainer.num_training_batches}: the training loader lost its place; delete the "
                "folder of the run, or take training.resume=false, and report this"
            )

    def agree(self, trainer: Trainer) -> None:
        """Take in what is still on the device, and bring all ranks to the sum that one process
        would have: what is saved must not depend on how many they are."""
        self.flush(trainer)
        if trainer.world_size > 1:
            own = torch.tensor(self._sum, dtype=torch.float64, device=trainer.strategy.root_device)
            self._sum = float(trainer.strategy.reduce(own, reduce_op="mean"))

    def mean(self, trainer: Trainer) -> float:
        """The mean loss of the epoch's batches so far, over all ranks."""
        self.agree(trainer)
        return self._sum / max(self._count, 1)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"sum": self._sum, "count": self._count, "num_batches": self._num_batches}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sum, self._count = state_dict["sum"], state_dict["count"]
        self._num_batches = state_dict["num_batches"]

    def _complaint(self, trainer: Trainer, value: float) -> str:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        narrower = "" if self._precision == "fp32" else " or training.precision=fp32"
        return (
            f"the loss became {value} in epoch {trainer.current_epoch + 1}, step "
            f"{trainer.fit_loop.batch_idx + 1} (learning rate {rate:.3g}, precision "
            f"{self._precision}); try a lower training.lr, a lower training.gradient_clip_val, "
            f"a warm-up (training.warmup_ratio=0.1){narrower}. Nothing of this run is kept as a "
            "checkpoint"
        )
