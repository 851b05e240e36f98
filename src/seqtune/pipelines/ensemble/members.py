"""A member before and after it is trained, and where trained ones are found and kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from seqtune.core.checkpoint import MANIFEST, Checkpoint, open_checkpoint
from seqtune.core.config import RunConfig
from seqtune.core.errors import ArtifactError
from seqtune.core.task import TaskSpec, TrainingData

logger = logging.getLogger(__name__)

TRAINED = "trained"
"""Name of the member that is the trained checkpoint: what the ensemble is compared with."""


@dataclass(frozen=True)
class PlannedMember:
    """One member: how to train it, or where it is."""

    name: str
    """Its folder in the ensemble."""
    origin: str
    """Where it comes from, in words."""
    fingerprint: str
    config: RunConfig | None = None
    """What to train it by; None: there is a checkpoint."""
    checkpoint: Path | None = None
    known_score: float | None = None
    """What it scored where it was validated, if its own training validates nothing."""


@dataclass(frozen=True)
class MemberPlan:
    """Who is in the ensemble, and why these."""

    members: tuple[PlannedMember, ...]
    """The trained checkpoint first."""
    kind: str
    """trials, seeds or checkpoints."""
    why: str


def distinct(members: Iterable[PlannedMember]) -> list[PlannedMember]:
    """One of each fingerprint, the first; it takes over the words of where the other comes from."""
    kept: dict[str, PlannedMember] = {}
    for member in members:
        first = kept.setdefault(member.fingerprint, member)
        if first is not member:
            origin = f"{member.origin}: {first.origin}"
            kept[member.fingerprint] = replace(
                first, origin=origin, known_score=first.known_score or member.known_score
            )
    return list(kept.values())


def require_fit(checkpoint: Checkpoint, task: TaskSpec, data: TrainingData) -> None:
    """Refuse a checkpoint of another task, another data set, or another split of it."""
    manifest = checkpoint.manifest
    if manifest.task != task.name:
        raise ArtifactError(
            f"checkpoint {checkpoint.path} belongs to the task {manifest.task}, not to {task.name}"
        )
    checkpoint.require_assets(data.assets_hash, what="the present one")
    if manifest.data_hash != data.content_hash:
        raise ArtifactError(
            f"checkpoint {checkpoint.path} was trained on another split (content "
            f"{manifest.data_hash[:12]}, now {data.content_hash[:12]}): what is held out now may "
            f"have been trained on. Train again (`kedro run --pipelines {task.name}.train`), or "
            "choose the split and the checkpoint that belong together with --load-versions"
        )


def trained_versions(checkpoint: Path, wanted: Collection[str]) -> dict[str, Path]:
    """Those of the wanted fingerprints that are a version of the same dataset as `checkpoint`."""
    found = {}
    for manifest in sorted(checkpoint.parents[1].glob(f"*/{checkpoint.name}/{MANIFEST}")):
        with suppress(ArtifactError):  # nobody asked for one that is damaged
            fingerprint = open_checkpoint(manifest.parent).manifest.fingerprint
            if fingerprint in wanted and _intact(manifest.parent):
                found[fingerprint] = manifest.parent
    return found


def stored(store: Path, fingerprint: str) -> Path | None:
    """A member that was trained before; a damaged one is removed, to be trained again."""
    folder = store / fingerprint
    if not folder.is_dir():
        return None
    if (intact := _intact(folder)) is not None and intact.manifest.fingerprint == fingerprint:
        return folder
    shutil.rmtree(folder)
    return None


def _intact(folder: Path) -> Checkpoint | None:
    try:
        checkpoint = open_checkpoint(folder)
        checkpoint.weights_path("best")
    except ArtifactError as error:
        logger.warning("not taken as a member: %s", error)
        return None
    return checkpoint
