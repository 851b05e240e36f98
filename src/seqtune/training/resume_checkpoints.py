"""States to resume from, in the folder of a run.

    state-0000000123-6fd9c0a1b2c3d4e5.ckpt    after 123 batches; 16 hex digits of its content
    best-0007.safetensors                     weights of epoch 7, the best so far

The two newest states are kept. A state is written under a temporary name and renamed to one with
the hash of its content, so that damage is found before anything is loaded.
"""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from seqtune.core.checkpoint import file_hash
from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ArtifactError
from seqtune.core.files import PARTIAL, atomic_write, publish_file

from .run_history import RunHistory

logger = logging.getLogger(__name__)

KEPT = 2
LEDGER = "Recorder"
"""Key of the recorder among the callbacks of a Lightning checkpoint."""


@dataclass(frozen=True)
class ResumeState:
    """An undamaged state; its weights are read on demand."""

    path: Path
    ledger: RunHistory
    batch: int
    """Batches trained in the current epoch."""

    @property
    def where(self) -> str:
        return f"epoch {self.ledger.epoch + 1}, batch {self.batch + 1}"

    @property
    def num_batches(self) -> int:
        """Batches trained in all epochs."""
        return int(self.path.stem.split("-")[1])

    def weights(self) -> dict[str, torch.Tensor]:
        return dict(_load(self.path)["state_dict"])


def partial_path(directory: Path) -> Path:
    """Return the temporary path of a new state."""
    return directory / f"state{PARTIAL}"


def accept(directory: Path, *, num_batches: int, keep: Iterable[str]) -> Path:
    """Name the new state, and remove files that no kept state needs."""
    partial = partial_path(directory)
    path = directory / f"state-{num_batches:010d}-{file_hash(partial)[:16]}.ckpt"
    publish_file(partial, path)
    for old in _newest_first(directory)[KEPT:]:
        old.unlink()
    for weights in directory.glob("best-*.safetensors"):
        if weights.name not in set(keep):
            weights.unlink()
    return path


def newest(directory: Path) -> ResumeState | None:
    """Return the newest undamaged state; remove damaged ones with a warning."""
    damaged: list[Path] = []
    for path in _newest_first(directory):
        state = _read(path)
        if state is not None:
            for other in damaged:
                logger.warning("%s is damaged: resuming from the state before it", other)
                other.unlink()
            return state
        damaged.append(path)
    if damaged:
        raise ArtifactError(
            f"every state to resume from in {directory} is damaged; delete that folder, or run "
            "with training.resume=false, to train from the start"
        )
    return None


def require(directory: Path) -> ResumeState:
    """Return the newest state of a run that has just saved one."""
    state = newest(directory)
    if state is None:
        raise ArtifactError(f"the states in {directory} have vanished; train again")
    return state


def move_newest(directory: Path, target: Path) -> bool:
    """Move the newest state and its best weights to another folder; False if there is none."""
    state = newest(directory)
    if state is None:
        return False
    best = directory / state.ledger.best_file
    for path in (best, state.path) if best.is_file() else (state.path,):
        path.replace(target / path.name)
    return True


def adopt(state: ResumeState, directory: Path, config: TrainingConfig, *, fingerprint: str) -> None:
    """Write the state of a finished run as that of an unfinished one with the epochs of `config`.

    Everything else of the configuration must be the same. What ended that run ends this one too,
    unless it was the number of its epochs.
    """
    ledger = replace(state.ledger, fingerprint=fingerprint, epochs=config.epochs)
    ledger.close(asked=False)
    values = _load(state.path)
    values["callbacks"][LEDGER]["ledger"] = asdict(ledger)
    for scheduler in values["lr_schedulers"]:  # which hold our Schedule, epochs included
        for schedule in scheduler["lr_lambdas"]:
            schedule["epochs"] = config.epochs
    best = state.path.parent / ledger.best_file
    if best.is_file():
        with atomic_write(directory / best.name) as partial:
            shutil.copyfile(best, partial)
    torch.save(values, partial_path(directory))
    accept(directory, num_batches=state.num_batches, keep=(ledger.best_file,))


def clear(directory: Path) -> None:
    """Remove the states and their files; a finished checkpoint stays."""
    for pattern in ("state-*.ckpt", "best-*.safetensors", f"*{PARTIAL}"):
        for path in directory.glob(pattern):
            path.unlink()


def _newest_first(directory: Path) -> list[Path]:
    return sorted(directory.glob("state-*.ckpt"), reverse=True)


def _read(path: Path) -> ResumeState | None:
    """Open a state; None if it is damaged, or not a state, such as a pickle with code in it."""
    if file_hash(path)[:16] != path.stem.rsplit("-", 1)[-1]:
        return None
    try:
        return _parse(path, _load(path))
    except (pickle.UnpicklingError, RuntimeError, LookupError, TypeError):
        return None


def _parse(path: Path, values: dict[str, Any]) -> ResumeState:
    loop = values["loops"]["fit_loop"]
    epochs = loop["epoch_progress"]["current"]
    is_within = epochs["processed"] < epochs["started"]
    batch = int(loop["epoch_loop.batch_progress"]["current"]["processed"]) if is_within else 0
    return ResumeState(path, RunHistory(**values["callbacks"][LEDGER]["ledger"]), batch)


def _load(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return values
