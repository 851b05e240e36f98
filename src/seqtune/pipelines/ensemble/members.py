"""Members of an ensemble, before and after training, and where trained ones are kept."""

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

from .._versions import versions_folder

logger = logging.getLogger(__name__)

TRAINED = "trained"
"""The member that is the trained checkpoint, with which the ensemble is compared."""


@dataclass(frozen=True)
class PlannedMember:
    """One member: how to train it, or where its checkpoint is."""

    name: str
    """Its folder in the ensemble."""
    origin: str
    """Where it comes from, for people."""
    fingerprint: str
    config: RunConfig | None = None
    """None if there is a checkpoint."""
    baseline: str = ""
    """Its name, if it is fitted and not trained."""
    checkpoint: Path | None = None
    known_score: float | None = None
    """Its score in tuning, if its own training validates nothing."""


@dataclass(frozen=True)
class MemberPlan:
    """The members, the trained checkpoint first, baselines last, and why they were chosen."""

    members: tuple[PlannedMember, ...]
    kind: str
    """trials, seeds, presets or checkpoints."""
    why: str


def distinct(members: Iterable[PlannedMember]) -> list[PlannedMember]:
    """Keep the first member of each fingerprint, with the origins of all of them."""
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
    """Refuse a checkpoint of another task, data set or split."""
    manifest = checkpoint.manifest
    if manifest.task != task.name:
        raise ArtifactError(
            f"checkpoint {checkpoint.path} belongs to the task {manifest.task}, not to {task.name}"
        )
    if manifest.baseline:
        raise ArtifactError(
            f"checkpoint {checkpoint.path} holds the baseline {manifest.baseline}, not a trained "
            f"network; name it in ensemble.baselines ([{manifest.baseline}])"
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
    """Find the wanted fingerprints among the versions of the dataset of `checkpoint`."""
    found = {}
    for manifest in sorted(versions_folder(checkpoint).glob(f"*/{checkpoint.name}/{MANIFEST}")):
        with suppress(ArtifactError):  # a damaged one may not be wanted
            fingerprint = open_checkpoint(manifest.parent).manifest.fingerprint
            if fingerprint in wanted and _open_intact(manifest.parent):
                found[fingerprint] = manifest.parent
    return found


def stored(store: Path, fingerprint: str) -> Path | None:
    """Find a member that was trained before; remove a damaged one, so that it trains again."""
    folder = store / fingerprint
    if not folder.is_dir():
        return None
    if (found := _open_intact(folder)) is not None and found.manifest.fingerprint == fingerprint:
        return folder
    shutil.rmtree(folder)
    return None


def _open_intact(folder: Path) -> Checkpoint | None:
    try:
        checkpoint = open_checkpoint(folder)
        checkpoint.weights_path("best")
    except ArtifactError as error:
        logger.warning("not used as a member: %s", error)
        return None
    return checkpoint
