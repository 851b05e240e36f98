"""What one session of training is made of: the same for a whole run and for a rehearsal of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightning.pytorch import Callback, LightningModule

from seqtune.core.config import RunConfig, TrainingConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import ALONE, RankInfo
from seqtune.core.task import TaskSpec, TrainingData

from .fsdp import prepare_shards
from .lazy_adam import has_sparse_gradients
from .loss_monitor import LossMonitor
from .memory import out_of_memory_is_infeasible
from .optimizers import ClipNorm, Schedule, StepCount, attach_optimizer
from .precision import device_type
from .randomness import StepSeeds, cpu_threads, isolated
from .ranks import Ranks, launch
from .resume_checkpoints import ResumeState
from .signals import StopRequest
from .silence_lightning import silence_lightning
from .trainer import build_trainer, start_at_epoch


@dataclass(frozen=True)
class Session:
    """A model, its data and a Trainer, put together in one way only."""

    spec: TaskSpec
    config: RunConfig
    data: TrainingData
    directory: Path
    place: RankInfo = ALONE

    def run(
        self,
        listeners: Sequence[Callback],
        *,
        losses: LossMonitor,
        request: StopRequest,
        state: ResumeState | None = None,
    ) -> None:
        """Train, from `state` on where there is one; `listeners` hear of it after our own."""
        with out_of_memory_is_infeasible(self.config.training):
            self._run(listeners, losses, request, state)

    def _run(
        self,
        listeners: Sequence[Callback],
        losses: LossMonitor,
        request: StopRequest,
        state: ResumeState | None,
    ) -> None:
        training = self.config.training
        device = device_type(training)
        schedule = Schedule(training)
        callbacks = [*self._callbacks(schedule, losses), *listeners]
        with (
            isolated(self.config.seed, device=device),
            cpu_threads(self._num_threads),
            silence_lightning(),
            request.listening(),
        ):
            trainer = build_trainer(
                training,
                device=device,
                callbacks=callbacks,
                directory=self.directory,
                validate=self.data.has_validation,
                place=self.place,
            )
            module = self.spec.build_module(self.config, self.data)
            if trainer.world_size > 1:
                _refuse_lazy_ranks(module, trainer.world_size)
                prepare_shards(module, training)
            module.train()  # pretrained parts arrive in eval mode, without dropout
            attach_optimizer(module, training, schedule)
            datamodule = self.spec.build_data(self.config, self.data)
            start_at_epoch(datamodule, state.ledger.epoch if state else 0)
            launch(
                trainer,
                module,
                datamodule,
                directory=self.directory,
                state=state.path if state else None,
            )

    @property
    def _num_threads(self) -> int | Literal["auto"]:
        """Ranks share the cores of a machine as whoever started them has said."""
        return self.config.training.num_threads if self.place.world_size == 1 else "auto"

    def _callbacks(self, schedule: Schedule, losses: LossMonitor) -> list[Callback]:
        training = self.config.training
        callbacks: list[Callback] = [
            Ranks(self.directory, training),
            StepSeeds(self.config.seed),
            StepCount(schedule, accumulate=training.accumulate_grad_batches),
            losses,
        ]
        if training.gradient_clip_val > 0:
            callbacks.append(ClipNorm(training.gradient_clip_val))
        return callbacks


def loss_monitor(config: TrainingConfig) -> LossMonitor:
    """What sums the losses of this configuration."""
    return LossMonitor(accumulate=config.accumulate_grad_batches, precision=config.precision)


def _refuse_lazy_ranks(module: LightningModule, world_size: int) -> None:
    if has_sparse_gradients(module):
        raise ConfigurationError(
            f"{world_size} processes cannot share the training of a model with lazy embeddings: "
            "strategies bring dense gradients together, not those of a few rows; switch lazy "
            "embeddings off, or train in one process (training.devices=1, "
            "cluster.training_workers=1)"
        )


def refuse_what_has_no_effect(config: RunConfig, data: TrainingData) -> None:
    """Refuse a validation that would never come."""
    training = config.training
    if data.has_validation and training.validate_every_epochs > training.epochs:
        raise ConfigurationError(
            f"training.validate_every_epochs={training.validate_every_epochs} never validates in "
            f"training.epochs={training.epochs}; choose a number from 1 to {training.epochs}"
        )
