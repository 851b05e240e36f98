"""The mean loss of an epoch; ends a run whose loss is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import TrainingError

CHECK_EVERY = 50
"""Batches between reads of the loss on a GPU, which wait for the GPU."""


class LossMonitor(Callback):
    """Sums the losses of batches; Lightning's own epoch means do not survive a resume."""

    def __init__(self, config: TrainingConfig) -> None:
        self._accumulate = config.accumulate_grad_batches
        self._precision = config.precision
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
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
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
        """Add the losses that are still on the device; raise if they are not finite."""
        if self._pending is None:
            return
        value = self._pending.item() * self._accumulate  # Lightning divides by it
        self._pending, count, self._num_pending = None, self._num_pending, 0
        if not math.isfinite(value):
            raise TrainingError(self._describe_failure(trainer, value))
        self._sum += value
        self._count += count

    @property
    def so_far(self) -> float | None:
        """The mean of the losses added so far; never waits for the device."""
        return self._sum / self._count if self._count else None

    def require_whole_epoch(self, trainer: Trainer) -> None:
        """Refuse an epoch with missing batches: the loader resumed at the wrong position."""
        if self._num_batches != trainer.num_training_batches:
            raise TrainingError(
                f"epoch {trainer.current_epoch + 1} had {self._num_batches} batches of "
                f"{trainer.num_training_batches}: the training loader lost its place; delete the "
                "folder of the run, or set training.resume=false, and report this"
            )

    def agree(self, trainer: Trainer) -> None:
        """Set the sum of all ranks to that of one process, so that a saved state does not depend on
        their number."""
        self.flush(trainer)
        if trainer.world_size > 1:
            own = torch.tensor(self._sum, dtype=torch.float64, device=trainer.strategy.root_device)
            self._sum = float(trainer.strategy.reduce(own, reduce_op="mean"))

    def mean(self, trainer: Trainer) -> float:
        """Return the mean loss of the epoch so far, over all ranks."""
        self.agree(trainer)
        return self._sum / max(self._count, 1)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"sum": self._sum, "count": self._count, "num_batches": self._num_batches}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sum, self._count = state_dict["sum"], state_dict["count"]
        self._num_batches = state_dict["num_batches"]

    def _describe_failure(self, trainer: Trainer, value: float) -> str:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        narrower = "" if self._precision == "fp32" else " or training.precision=fp32"
        return (
            f"the loss became {value} in epoch {trainer.current_epoch + 1}, step "
            f"{trainer.fit_loop.batch_idx + 1} (learning rate {rate:.3g}, precision "
            f"{self._precision}); try a lower training.lr, a lower training.gradient_clip_val, "
            f"a warm-up (training.warmup_ratio=0.1){narrower}. Nothing of this run is kept as a "
            "checkpoint"
        )
