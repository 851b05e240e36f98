"""`fit`: train a task's model, or resume an unfinished run."""

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
from .recorder import EpochCallback, Recorder
from .resume_checkpoints import ResumeState
from .run_history import ASKED, Row, RunHistory
from .session import Session, require_validation

logger = logging.getLogger(__name__)

RESTART_SECONDS = 30.0
"""How long the ranks of a restarted training wait for the ranks before them to end."""


@dataclass(frozen=True)
class FitResult:
    """A finished run."""

    checkpoint: Path
    best_epoch: int
    best_metrics: Row
    history: tuple[Row, ...]
    """A row for each epoch: `epoch` (from 1), `train_loss`, metrics of validation, `seconds`."""
    stopped: str
    """finished, early stopping, time limit, or asked by the caller."""
    seconds: float
    resumed_from: str | None
    """The position that the run was resumed at, in words; None: it was not."""


def no_report(epoch: int, metrics: Mapping[str, float]) -> None:
    """Ignore the epoch; never ask to stop."""


def fit(
    spec: TaskSpec,
    config: RunConfig,
    data: TrainingData,
    *,
    directory: Path,
    fingerprint: str,
    report: EpochCallback = no_report,
    progress: bool = True,
    launched: RankInfo = ALONE,
    keep_state: bool = False,
) -> FitResult:
    """Train into `directory`, resuming an unfinished run of the same fingerprint there.

    `launched`: this process is one of several, started elsewhere, that call this together. They
    share `directory`, and each has one device, regardless of `training.devices`. A run may resume
    with another number of them, which changes the order of sums, and the masks and dropout that
    each rank draws.

    `keep_state`: the last state stays in `directory`, for a run of more epochs
    (`resume_checkpoints.adopt`), unless `report` asked to stop.

    `report` may be called twice for an epoch if the run is killed right after it. `train_loss` is
    the mean over the steps of an epoch; of the metrics that the module logs, names that start with
    `val` are kept, and `train_x` if there is a `val_x`. Raises InfeasibleError if memory runs out.
    """
    with init_process_group(launched, device_type(config.training)), ExitStack() as held:
        broadcast_from_rank0(launched, partial(_lock_directory, directory, held, launched))
        config = with_precision(config)
        require_validation(config, data)
        find = partial(_find_result, directory, config, fingerprint, keep_state=keep_state)
        finished = broadcast_from_rank0(launched, find)
        if finished is not None:
            return finished
        state = broadcast_from_rank0(launched, partial(_find_state, directory, config, fingerprint))
        if state is None or not state.ledger.stopped:
            ledger = RunHistory.start(
                config.training, fingerprint=fingerprint, validated=data.has_validation
            )
            session = Session(spec, config, data, directory, launched)
            recorder = Recorder(ledger, session.losses, report, session.request, config, directory)
            bar = [progress_callback(recorder)] if progress else []
            session.run([recorder, *bar], state)
        conclude = partial(_conclude, directory, config, data, state, keep_state=keep_state)
        return broadcast_from_rank0(launched, conclude)


def _lock_directory(directory: Path, held: ExitStack, place: RankInfo) -> None:
    """Create the directory and lock it until `held` ends."""
    directory.mkdir(parents=True, exist_ok=True)
    patience = RESTART_SECONDS if place.world_size > 1 else 0.0
    if not held.enter_context(lock(directory, wait_seconds=patience)):
        raise StorageError(
            f"another process is training in {directory}; wait for it to end, or stop it"
        )


def _find_result(
    directory: Path, config: RunConfig, fingerprint: str, *, keep_state: bool
) -> FitResult | None:
    """Return the result of a finished run whose checkpoint is still here."""
    folder = directory / FOLDER
    if not config.training.resume or not (folder / MANIFEST).is_file():
        return None
    if open_checkpoint(folder).manifest.fingerprint != fingerprint:
        return None
    logger.info("%s was already trained to the end", folder)
    if not keep_state:
        resume_checkpoints.clear(directory)
    return _read_result(directory, resumed_from="its end")


def _find_state(directory: Path, config: RunConfig, fingerprint: str) -> ResumeState | None:
    """Return the state to resume from; remove any other run."""
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
    directory: Path,
    config: RunConfig,
    data: TrainingData,
    state: ResumeState | None,
    *,
    keep_state: bool,
) -> FitResult:
    """Write the checkpoint, and remove the states unless they are kept."""
    last = resume_checkpoints.require(directory)
    write_checkpoint(directory, last, config=config, data=data)
    if not keep_state or last.ledger.stopped == ASKED:
        resume_checkpoints.clear(directory)
    return _read_result(directory, resumed_from=state.where if state else None)


def _read_result(directory: Path, *, resumed_from: str | None) -> FitResult:
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
