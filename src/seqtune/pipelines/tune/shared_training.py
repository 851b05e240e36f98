"""Trained weights shared by trials that differ only in what training never reads.

<scratch>/tune/trained-<stage>/<key>/          what `fit` writes
<scratch>/tune/trained-<stage>/<key>/metrics.json   written last: "complete"
<scratch>/tune/trained-<stage>/<key>.lock      exclusive while training, shared while measuring
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
"""How many of the newest trainings stay on disk until their stage ends."""


@dataclass(frozen=True)
class SharedTraining:
    """The result of a training, whichever trial ran it."""

    checkpoint: Path | None
    """None if the training was stopped before its end."""
    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    is_new: bool


@contextmanager
def train_or_reuse(
    folder: Path, train: Callable[[Path], tuple[FitResult, Mapping[str, float]]]
) -> Iterator[SharedTraining]:
    """Yield the training of this folder, which is not removed while in use.

    A caller waits while another one trains it. A training that was stopped from outside before its
    end is not kept: only the caller that ran it gets it.
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
    """Free the disk of weights that trials of a finished stage shared."""
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
    _remove_older(folder.parent)
    return SharedTraining(result.checkpoint, metrics, result.history, is_new=True)


def _read(folder: Path, *, is_new: bool) -> SharedTraining | None:
    path = folder / METRICS
    if not path.is_file():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return SharedTraining(
        folder / kept["checkpoint"], kept["metrics"], kept["history"], is_new=is_new
    )


def _remove_older(stage: Path) -> None:
    """Keep the newest, and those that another trial is reading."""
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
