"""`fit`: train a task's model, or go on where an earlier session stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seqtune.core.checkpoint import HISTORY, MANIFEST, open_checkpoint
from seqtune.core.config import RunConfig
from seqtune.core.errors import StorageError
from seqtune.core.execution import ALONE, RankInfo
from seqtune.core.files import lock
from seqtune.core.task import TaskSpec, TrainingData

from . import resume_checkpoints
from .auto_values import with_precision
from .checkpoints import FOLDER, write_checkpoint
from .distributed import broadcast_from_rank0, init_process_group
from .precision import device_type
from .progress import progress_callback
from .recorder import Recorder, Report
from .resume_checkpoints import ResumeState
from .run_history import Row, RunHistory
from .session import Session, loss_monitor, refuse_what_has_no_effect
from .signals import StopRequest

logger = logging.getLogger(__name__)

PREDECESSOR_SECONDS = 30.0
"""How long the ranks of a training that was started again wait for the last of those before."""


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
    launched: RankInfo = ALONE,
) -> FitResult:
    """Train into `directory`, going on with an unfinished run of the same fingerprint there.

    `launched`: this process is one of several that call this together, and that somebody else has
    started. They see the same `directory`; whatever `training.devices` says, each has one. Their
    number changes nothing but sums in another order, and masks and dropout that each rank draws
    for itself: a run may go on with another number of them.

    `report` may hear of an epoch twice: a run that is killed right after it repeats it.
    `train_loss` is our mean over the steps of an epoch; of what the module logs, names that
    start with `val` are kept, and `train_x` where there is a `val_x`. Raises InfeasibleError
    where memory does not suffice.
    """
    with init_process_group(launched, device_type(config.training)), ExitStack() as held:
        broadcast_from_rank0(launched, partial(_enter, directory, held, launched))
        config = with_precision(config)
        refuse_what_has_no_effect(config, data)
        finished = broadcast_from_rank0(
            launched, partial(_finished, directory, config, fingerprint)
        )
        if finished is not None:
            return finished
        state = broadcast_from_rank0(launched, partial(_unfinished, directory, config, fingerprint))
        if state is None or not state.ledger.stopped:
            ledger = RunHistory.start(
                config.training, fingerprint=fingerprint, validated=data.has_validation
            )
            session = Session(spec, config, data, directory, launched)
            _train(session, ledger, state, report=report, progress=progress)
        return broadcast_from_rank0(launched, partial(_conclude, directory, config, data, state))


def _enter(directory: Path, held: ExitStack, place: RankInfo) -> None:
    """Have the folder for oneself."""
    directory.mkdir(parents=True, exist_ok=True)
    patience = PREDECESSOR_SECONDS if place.world_size > 1 else 0.0
    if not held.enter_context(lock(directory, wait_seconds=patience)):
        raise StorageError(
            f"another process is training in {directory}; wait for it to end, or stop it"
        )


def _train(
    session: Session,
    ledger: RunHistory,
    state: ResumeState | None,
    *,
    report: Report,
    progress: bool,
) -> None:
    """Train to the end, which leaves a state whose ledger says why it ended."""
    training = session.config.training
    losses, request = loss_monitor(training), StopRequest(session.place.asked)
    recorder = Recorder(
        ledger,
        config=training,
        directory=session.directory,
        losses=losses,
        report=report,
        request=request,
    )
    listeners = [recorder, progress_callback(recorder)] if progress else [recorder]
    session.run(listeners, losses=losses, request=request, state=state)


def _finished(directory: Path, config: RunConfig, fingerprint: str) -> FitResult | None:
    """A checkpoint that was written but that nobody has taken away yet."""
    folder = directory / FOLDER
    if not config.training.resume or not (folder / MANIFEST).is_file():
        return None
    if open_checkpoint(folder).manifest.fingerprint != fingerprint:
        return None
    logger.info("%s was already trained to the end", folder)
    resume_checkpoints.clear(directory)
    return _result(directory, resumed_from="its end")


def _unfinished(directory: Path, config: RunConfig, fingerprint: str) -> ResumeState | None:
    """The state to go on from; anything else in the folder is cleared."""
    state = resume_checkpoints.newest(directory) if config.training.resume else None
    if state is not None and state.ledger.fingerprint == fingerprint:
        logger.info("resuming at %s (%s)", state.where, state.path)
        return state
    if state is not None:
        logger.warning(
            "%s held an unfinished run of another configuration, which was removed", directory
        )
    resume_checkpoints.clear(directory)
    return None


def _conclude(
    directory: Path, config: RunConfig, data: TrainingData, state: ResumeState | None
) -> FitResult:
    """The checkpoint, in the place of the resume_checkpoints."""
    write_checkpoint(directory, resume_checkpoints.require(directory), config=config, data=data)
    resume_checkpoints.clear(directory)
    return _result(directory, resumed_from=state.where if state else None)


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
