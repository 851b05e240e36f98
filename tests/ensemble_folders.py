"""Folders of checkpoints and ensembles, as `training` and `ensembling` write them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from seqtune.core.checkpoint import CheckpointManifest, Weights, file_hash, open_checkpoint
from seqtune.core.config import RunConfig
from seqtune.core.ensemble import EnsembleManifest, Member, ensemble_fingerprint
from seqtune.core.task import TrainingData


def write_manifest(
    path: Path,
    data: TrainingData,
    config: RunConfig,
    *,
    files: tuple[str, str] = ("best.safetensors", "last.safetensors"),
    fingerprint: str = "f" * 16,
    epoch: int = 3,
    metrics: Mapping[str, float] | None = None,
) -> Path:
    """Write the manifest of a checkpoint folder that has its weights."""
    best, last = (
        Weights(file=name, sha256=file_hash(path / name), epoch=epoch, metrics=dict(metrics or {}))
        for name in files
    )
    manifest = CheckpointManifest(
        task=config.task,
        fingerprint=fingerprint,
        data_hash=data.content_hash,
        assets_hash=data.assets_hash,
        config=config.model_dump(mode="json"),
        versions={},
        best=best,
        last=last,
        epochs_planned=epoch,
        stopped="finished",
        seconds=1.0,
    )
    (path / "checkpoint.json").write_text(manifest.model_dump_json())
    return path


def write_ensemble(
    path: Path,
    parts: Mapping[Path, float],
    *,
    task: str,
    metric: str,
    scale: str,
    **manifest: object,
) -> Path:
    """An ensemble folder of checkpoints with their shares; those with none get no folder."""
    path.mkdir(parents=True)
    members = []
    for number, (checkpoint, share) in enumerate(parts.items(), start=1):
        opened = open_checkpoint(checkpoint).manifest
        members.append(
            Member(
                name=f"m{number}",
                origin=f"trial {number}",
                fingerprint=opened.fingerprint,
                weights_sha256=opened.best.sha256,
                weight=share,
                score=0.5,
            )
        )
        if share > 0:
            shutil.copytree(checkpoint, path / "members" / f"m{number}")
    shares = {member.weights_sha256: member.weight for member in members}
    values: dict[str, object] = {
        "task": task,
        "fingerprint": ensemble_fingerprint(shares, scale=scale, data_hash=opened.data_hash),
        "data_hash": opened.data_hash,
        "assets_hash": opened.assets_hash,
        "reference": opened.fingerprint,
        "scale": scale,
        "method": "uniform",
        "members": members,
        "metric": metric,
        "findings": {},
        "versions": {},
    }
    made = EnsembleManifest.model_validate(values | manifest)
    (path / "ensemble.json").write_text(made.model_dump_json())
    return path
