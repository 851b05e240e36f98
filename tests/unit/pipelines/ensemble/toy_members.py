"""Checkpoints that hold no model, and trials that nobody ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqtune.core.checkpoint import ASSETS, CheckpointManifest, Weights, file_hash
from seqtune.core.config import RunConfig, fingerprint, library_versions
from seqtune.core.parameters import TaskParameters
from seqtune.core.task import TrainingData
from seqtune.pipelines._best_config import BestConfig
from seqtune.pipelines._resolution import resolve_trial, trial_values
from seqtune.tasks.recommend import TASK


def write_checkpoint(
    folder: Path,
    config: RunConfig,
    data: TrainingData,
    *,
    score: float | None = 0.5,
    weights: bytes = b"weights",
    **manifest: Any,
) -> Path:
    """A checkpoint folder with everything but a model in it."""
    (folder / ASSETS).mkdir(parents=True)
    for name in ("best.safetensors", "last.safetensors"):
        (folder / name).write_bytes(weights)
    (folder / "history.json").write_text("[]")
    metrics = {} if score is None else {config.training.monitor: score}
    sha = file_hash(folder / "best.safetensors")
    values = {
        "task": "recommend",
        "fingerprint": fingerprint(config, data_hash=data.content_hash),
        "data_hash": data.content_hash,
        "assets_hash": data.assets_hash,
        "config": config.model_dump(mode="json"),
        "versions": library_versions(),
        "best": Weights(file="best.safetensors", sha256=sha, epoch=1, metrics=metrics),
        "last": Weights(file="last.safetensors", sha256=sha, epoch=2, metrics=metrics),
        "epochs_planned": 2,
        "stopped": "finished",
        "seconds": 1.0,
        **manifest,
    }
    text = json.dumps(CheckpointManifest(**values).model_dump(mode="json"))
    (folder / "checkpoint.json").write_text(text)
    return folder


def described(
    parameters: TaskParameters, data: TrainingData, *, trial: int, params: dict[str, Any]
) -> BestConfig:
    """What tuning writes down of a trial."""
    resolved = resolve_trial(TASK, parameters, data, params=params, epochs=2)
    score = 0.9 - trial / 10
    return BestConfig(
        task="recommend",
        values=trial_values(resolved, params),
        metric="val_ndcg@5",
        score=score,
        metrics={"val_ndcg@5": score},
        best_epoch=1,
        study="recommend-medium-1",
        stage="medium",
        trial=trial,
        chosen="best",
        searched=sorted(params),
        environment=resolved.table(),
        data_hash=data.content_hash,
        versions=library_versions(),
        fingerprint=fingerprint(resolved.config, data_hash=data.content_hash),
    )
