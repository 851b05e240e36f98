"""Write the checkpoint folder from the last state of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from seqtune.core.checkpoint import ASSETS, HISTORY, Weights, file_hash, write_manifest
from seqtune.core.config import RunConfig
from seqtune.core.errors import ArtifactError
from seqtune.core.files import atomic_write, write_json
from seqtune.core.task import TrainingData

from .recorder import write_weights
from .resume_checkpoints import ResumeState
from .run_history import Row

BEST = "best.safetensors"
LAST = "last.safetensors"
FOLDER = "checkpoint"


def write_checkpoint(
    directory: Path, state: ResumeState, *, config: RunConfig, data: TrainingData
) -> Path:
    """Write `directory/checkpoint`, the manifest last."""
    ledger = state.ledger
    folder = directory / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_weights(folder / LAST, state.weights())
    last_is_best = ledger.best_epoch == ledger.epoch
    source = folder / LAST if last_is_best else directory / ledger.best_file
    if not source.is_file():
        raise ArtifactError(
            f"{source} is missing; delete {directory}, or run with training.resume=false, to train "
            "from the start"
        )
    with atomic_write(folder / BEST) as partial:
        shutil.copyfile(source, partial)
    write_json(folder / HISTORY, ledger.history)
    complete(
        folder,
        config,
        data,
        fingerprint=ledger.fingerprint,
        best=_weights(folder, BEST, ledger.best_row, ledger.best_epoch),
        last=_weights(folder, LAST, ledger.history[-1], ledger.epoch),
        epochs_planned=ledger.epochs,
        stopped=ledger.stopped,
        seconds=ledger.seconds,
    )
    return folder


def complete(folder: Path, config: RunConfig, data: TrainingData, **facts: Any) -> None:
    """Write the assets of a checkpoint and, last, its manifest with these facts."""
    (folder / ASSETS).mkdir()
    data.write_assets(folder / ASSETS, config)
    hashes = {"data_hash": data.content_hash, "assets_hash": data.assets_hash}
    write_manifest(folder, config, **hashes, **facts)


def _weights(folder: Path, file: str, row: Row, epoch: int) -> Weights:
    metrics = {name: value for name, value in row.items() if name not in ("epoch", "seconds")}
    return Weights(file=file, sha256=file_hash(folder / file), epoch=epoch, metrics=metrics)
