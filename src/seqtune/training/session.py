"""One session of training: the same for a whole run and for the profiling of a few steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback, LightningModule

from seqtune.core.config import RunConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import ALONE, RankInfo
from seqtune.core.task import TaskSpec, TrainingData

from .fsdp import prepare_shards
from .lazy_adam import has_sparse_gradients
from .loss_monitor import LossMonitor
from .memory import TrimHeap, out_of_memory_is_infeasible
from .optimizers import ClipNorm, Schedule, StepCount, attach_optimizer
from .precision import device_type
from .randomness import StepSeeds, cpu_threads, isolated
from .ranks import Ranks, launch
from .resume_checkpoints import ResumeState
from .signals import StopRequest
from .silence_lightning import silence_lightning
from .trainer import build_trainer, start_at_epoch
from .warm_start import load_start_weights


class Session:
    """Builds the model, its data and the Trainer, and runs them."""

    def __init__(
        self,
        spec: TaskSpec,
        config: RunConfig,
        data: TrainingData,
        directory: Path,
        place: RankInfo = ALONE,
    ) -> None:
        self.spec = spec
        self.config = config
        self.data = data
        self.directory = directory
        self.place = place
        self.losses = LossMonitor(config.training)
        self.request = StopRequest(place.asked)

    def run(self, listeners: Sequence[Callback], state: ResumeState | None = None) -> None:
        """Train, from `state` on if given; `listeners` are called after our own callbacks."""
        with out_of_memory_is_infeasible(self.config.training):
            self._run(listeners, state)

    def _run(self, listeners: Sequence[Callback], state: ResumeState | None) -> None:
        """Train; a function of its own because its frame, which holds the model, is cleared when
        memory runs out."""
        training = self.config.training
        device = device_type(training)
        schedule = Schedule(training)
        callbacks = [*self._build_callbacks(schedule), *listeners]
        # ranks of a cluster share the cores of a machine as their launcher decided
        num_threads = training.num_threads if self.place.world_size == 1 else "auto"
        with (
            isolated(self.config.seed, device=device),
            cpu_threads(num_threads),
            silence_lightning(),
            self.request.listening(),
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
            if state is None:
                load_start_weights(module, self.spec, self.config, self.data)
            if trainer.world_size > 1:
                _refuse_lazy_embeddings(module, trainer.world_size)
                prepare_shards(module, training)
            module.train()  # pretrained parts arrive in eval mode, without dropout
            attach_optimizer(module, training, schedule)
            datamodule = self.spec.build_data(self.config, self.data)
            start_at_epoch(datamodule, state.ledger.epoch if state else 0)
            path = state.path if state else None
            launch(trainer, module, datamodule, directory=self.directory, state=path)

    def _build_callbacks(self, schedule: Schedule) -> list[Callback]:
        training = self.config.training
        callbacks: list[Callback] = [
            Ranks(self.directory, training),
            StepSeeds(self.config.seed),
            StepCount(schedule, accumulate=training.accumulate_grad_batches),
            self.losses,
            TrimHeap(),
        ]
        if training.gradient_clip_val > 0:
            callbacks.append(ClipNorm(training.gradient_clip_val))
        return callbacks


def _refuse_lazy_embeddings(module: LightningModule, world_size: int) -> None:
    if has_sparse_gradients(module):
        raise ConfigurationError(
            f"{world_size} processes cannot share the training of a model with lazy embeddings: "
            "strategies add up dense gradients, not those of a few rows; switch lazy embeddings "
            "off, or train in one process (training.devices=1, cluster.training_workers=1)"
        )


def require_validation(config: RunConfig, data: TrainingData) -> None:
    """Refuse a run that would end before its first validation."""
    training = config.training
    if data.has_validation and training.validate_every_epochs > training.epochs:
        raise ConfigurationError(
            f"training.validate_every_epochs={training.validate_every_epochs} never validates in "
            f"training.epochs={training.epochs}; choose a number from 1 to {training.epochs}"
        )
