"""`fit`: train a task's model, or go on where an earlier session stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Callback

from seqtune.contracts.checkpoint import HISTORY, MANIFEST, open_checkpoint
from seqtune.contracts.config import RunConfig
from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.task import TaskSpec, TrainingData

from . import states
from .checkpoints import FOLDER, write_checkpoint
from .files import only_user_of
from .ledger import Ledger, Row
from .loss_watch import LossWatch
from .optimizers import ClipNorm, Schedule, attach_optimizer
from .precision import Device, best_precision, device_type
from .progress import progress_callback
from .quiet import quiet_lightning
from .randomness import StepSeeds, cpu_threads, isolated
from .ranks import Ranks, launch
from .recorder import Recorder, Report
from .signals import StopRequest
from .states import State
from .trainer import build_trainer, start_at_epoch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """A finished run."""

    checkpoint: Path
    best_epoch: int
    best_metrics: Row
    history: tuple[Row, ...]
    """One row an epoch: `epoch` (from 1), `train_loss`, what validation logged, `seconds`."""
    stopped: str
    """finished, early stopping, time limit, or asked by the caller."""
    seconds: float
    resumed_from: str | None
    """How far an earlier session had got, in words; None: there was none."""


def no_report(epoch: int, metrics: Mapping[str, float]) -> None:
    """Hears of every epoch and never asks to stop."""


def fit(
    spec: TaskSpec,
    config: RunConfig,
    data: TrainingData,
    *,
    directory: Path,
    fingerprint: str,
    report: Report = no_report,
    progress: bool = True,
) -> FitResult:
    """Train into `directory`, going on with an unfinished run of the same fingerprint there.

    `report` may hear of an epoch twice: a run that is killed right after it repeats it.
    `train_loss` is our mean over the steps of an epoch; of what the module logs, names that
    start with `val` are kept.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with only_user_of(directory):
        config = _with_precision(config)
        _refuse_what_has_no_effect(config, data)
        if (finished := _finished(directory, config, fingerprint)) is not None:
            return finished
        state = _unfinished(directory, config, fingerprint)
        if state is None or not state.ledger.stopped:
            ledger = Ledger.start(
                config.training, fingerprint=fingerprint, validated=data.has_validation
            )
            run = _Run(spec, config, data, directory, report, progress)
            run.train(ledger, state)
        write_checkpoint(directory, states.require(directory), config=config, data=data)
        states.clear(directory)
        return _result(directory, resumed_from=state.where if state else None)


@dataclass(frozen=True)
class _Run:
    """What one session of training needs."""

    spec: TaskSpec
    config: RunConfig
    data: TrainingData
    directory: Path
    report: Report
    progress: bool

    def train(self, ledger: Ledger, state: State | None) -> None:
        """Train to the end, which leaves a state whose ledger says why it ended."""
        training = self.config.training
        device = device_type(training)
        request = StopRequest()
        schedule = Schedule(training)
        callbacks = self._callbacks(ledger, schedule, request)
        with (
            isolated(self.config.seed, device=device),
            cpu_threads(training.num_threads),
            quiet_lightning(),
            request.listening(),
        ):
            trainer = build_trainer(
                training,
                device=device,
                callbacks=callbacks,
                directory=self.directory,
                validate=self.data.has_validation,
            )
            module = self.spec.build_module(self.config, self.data)
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

    def _callbacks(
        self, ledger: Ledger, schedule: Schedule, request: StopRequest
    ) -> list[Callback]:
        training = self.config.training
        losses = LossWatch(
            accumulate=training.accumulate_grad_batches, precision=training.precision
        )
        recorder = Recorder(
            ledger,
            config=training,
            directory=self.directory,
            losses=losses,
            schedule=schedule,
            report=self.report,
            request=request,
        )
        callbacks: list[Callback] = [Ranks(self.directory), StepSeeds(self.config.seed), losses]
        if training.gradient_clip_val > 0:
            callbacks.append(ClipNorm(training.gradient_clip_val))
        callbacks.append(recorder)
        if self.progress:
            callbacks.append(progress_callback(recorder))
        return callbacks


def _with_precision(config: RunConfig) -> RunConfig:
    """The configuration with `precision: auto` settled, for callers that did not."""
    if config.training.precision != "auto":
        return config
    device: Device = device_type(config.training)
    training = config.training.model_copy(update={"precision": best_precision(device)[0]})
    return config.model_copy(update={"training": training})


def _refuse_what_has_no_effect(config: RunConfig, data: TrainingData) -> None:
    training = config.training
    if data.has_validation and training.validate_every_epochs > training.epochs:
        raise ConfigurationError(
            f"training.validate_every_epochs={training.validate_every_epochs} never validates in "
            f"training.epochs={training.epochs}; choose a number from 1 to {training.epochs}"
        )


def _finished(directory: Path, config: RunConfig, fingerprint: str) -> FitResult | None:
    """A checkpoint that was written but that nobody has taken away yet."""
    folder = directory / FOLDER
    if not config.training.resume or not (folder / MANIFEST).is_file():
        return None
    if open_checkpoint(folder).manifest.fingerprint != fingerprint:
        return None
    logger.info("%s was already trained to the end", folder)
    states.clear(directory)
    return _result(directory, resumed_from="its end")


def _unfinished(directory: Path, config: RunConfig, fingerprint: str) -> State | None:
    """The state to go on from; anything else in the folder is cleared."""
    state = states.newest(directory) if config.training.resume else None
    if state is not None and state.ledger.fingerprint == fingerprint:
        logger.info("resuming at %s (%s)", state.where, state.path)
        return state
    if state is not None:
        logger.warning(
            "%s held an unfinished run of another configuration, which was removed", directory
        )
    states.clear(directory)
    return None


def _result(directory: Path, *, resumed_from: str | None) -> FitResult:
    folder = directory / FOLDER
    manifest = open_checkpoint(folder).manifest
    return FitResult(
        checkpoint=folder,
        best_epoch=manifest.best.epoch,
        best_metrics=manifest.best.metrics,
        history=tuple(json.loads((folder / HISTORY).read_text(encoding="utf-8"))),
        stopped=manifest.stopped,
        seconds=manifest.seconds,
        resumed_from=resumed_from,
    )
