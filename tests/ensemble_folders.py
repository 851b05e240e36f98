"""Folders of ensembles, as `ensembling` leaves them: for the tests of every task."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.ensemble import EnsembleManifest, Member, ensemble_fingerprint


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
