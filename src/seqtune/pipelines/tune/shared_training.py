"""Trained weights that several trials share: trials that differ in what training never reads.

<scratch>/tune/trained-<stage>/<key>/          what `fit` writes
<scratch>/tune/trained-<stage>/<key>/metrics.json   written last: "complete"
<scratch>/tune/trained-<stage>/<key>.lock      held alone by who trains, shared by who measures
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.files import lock, write_json

if TYPE_CHECKING:
    from seqtune.training import FitResult

METRICS = "metrics.json"
KEPT = 3
"""The newest trainings of a stage that stay on the disk until it is over."""


@dataclass(frozen=True)
class SharedTraining:
    """What a training gave, by whichever trial."""

    checkpoint: Path | None
    """None where the training was not gone through to its end."""
    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    is_new: bool


@contextmanager
def train_or_reuse(
    folder: Path, train: Callable[[Path], tuple[FitResult, Mapping[str, float]]]
) -> Iterator[SharedTraining]:
    """The training of this folder, which stays there as long as it is used.

    Whoever asks while another trains it waits for that. A training that was stopped from outside
    before its end is nobody else's: it is given to who asked for it, and not kept.
    """
    guard = _lock_of(folder)
    made: SharedTraining | None = None
    while made is None or made.checkpoint is not None:
        with lock(guard, shared=True):
            if (known := _read(folder, is_new=made is not None)) is not None:
                yield known
                return
        with lock(guard):
            if _read(folder, is_new=False) is None:
                made = _train(folder, train)
    yield made


def remove_shared_trainings(scratch: Path, stage: str) -> None:
    """Remove what a stage has trained; it is over."""
    shutil.rmtree(stage_folder(scratch, stage), ignore_errors=True)


def stage_folder(scratch: Path, stage: str) -> Path:
    return scratch / "tune" / f"trained-{stage}"


def _train(
    folder: Path, train: Callable[[Path], tuple[FitResult, Mapping[str, float]]]
) -> SharedTraining:
    from seqtune.training.run_history import ASKED

    result, metrics = train(folder)
    if result.stopped == ASKED:
        shutil.rmtree(folder, ignore_errors=True)
        return SharedTraining(None, metrics, result.history, is_new=True)
    kept = {
        "checkpoint": result.checkpoint.name,
        "metrics": dict(metrics),
        "history": [dict(row) for row in result.history],
    }
    write_json(folder / METRICS, kept)
    _forget_older(folder.parent)
    return SharedTraining(result.checkpoint, metrics, result.history, is_new=True)


def _read(folder: Path, *, is_new: bool) -> SharedTraining | None:
    path = folder / METRICS
    if not path.is_file():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return SharedTraining(
        folder / kept["checkpoint"], kept["metrics"], kept["history"], is_new=is_new
    )


def _forget_older(stage: Path) -> None:
    """Leave the newest; those that somebody is reading stay too."""
    for path in sorted(stage.glob(f"*/{METRICS}"), key=_age)[KEPT:]:
        folder = path.parent
        with lock(_lock_of(folder), wait_seconds=0.0) as is_free:
            if is_free:
                path.unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except FileNotFoundError:  # another worker was faster
        return 0.0
