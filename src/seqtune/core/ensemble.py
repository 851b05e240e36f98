"""The ensemble folder: what the stage `ensemble` writes and every task reads like a checkpoint.

    members/<name>/       checkpoint folders, each complete and usable on its own; those that count
    ensemble.json         the manifest; written last, so that its presence means "complete"

Nothing in it can execute code when it is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from .checkpoint import NEXT_STEP, Checkpoint, Manifest, Which, open_checkpoint, read_manifest
from .config import Section, canonical_json
from .errors import ArtifactError, ConfigurationError
from .reports import Report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FORMAT_VERSION = 1
MANIFEST = "ensemble.json"
MEMBERS = "members"


class Member(Section):
    """One trained model of an ensemble."""

    name: str
    """Its folder below `members`."""
    origin: str
    """Where it comes from, in words: trial 12 of a study, seed 7, a folder."""
    fingerprint: str
    weights_sha256: str
    weight: float
    """Share of the combination; 0: considered and not taken, and then it has no folder."""
    score: float | None
    """The monitored metric at its best epoch; None where nothing was ever held out."""


class EnsembleManifest(Manifest):
    """Everything about an ensemble but its members' weights."""

    format_version: int = FORMAT_VERSION
    task: str
    fingerprint: str
    """Hash of the members that count, their shares and how they are combined."""
    data_hash: str
    assets_hash: str
    reference: str
    """Fingerprint of the single checkpoint that it was made beside."""
    scale: str
    """What members' scores are brought to before they are added up; a word of the task."""
    method: str
    """How the shares were found."""
    members: tuple[Member, ...]
    metric: str
    decision: dict[str, Any] = Field(default_factory=dict)
    """What belongs to the shares when it comes to deciding: per-class thresholds, ..."""
    findings: dict[str, Any]
    """What was compared, and the numbers that decided."""
    versions: dict[str, str]

    @property
    def used(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.weight > 0)


@dataclass(frozen=True)
class Ensemble:
    """An ensemble folder that was opened and checked."""

    path: Path
    manifest: EnsembleManifest

    def member_paths(self) -> dict[str, Path]:
        """Folders of the members that count, by name."""
        return {member.name: self.path / MEMBERS / member.name for member in self.manifest.used}

    def checkpoints(self) -> dict[str, Checkpoint]:
        """The members that count, each checked against the manifest."""
        opened = {name: open_checkpoint(path) for name, path in self.member_paths().items()}
        for member in self.manifest.used:
            found = opened[member.name].manifest.best.sha256
            if found != member.weights_sha256:
                raise ArtifactError(
                    f"ensemble {self.path}: member {member.name} is not the one it was made with "
                    f"(weights {found[:12]}, not {member.weights_sha256[:12]}); {NEXT_STEP}"
                )
        return opened

    def require_usable(self, task: str, which: Which, *, scales: Collection[str]) -> None:
        """Refuse what a task, which knows such scales, cannot open as those weights."""
        manifest = self.manifest
        again = f"make it again (kedro run --pipelines {task}.ensemble)"
        if manifest.task != task:
            raise ArtifactError(
                f"ensemble {self.path} belongs to the task {manifest.task}, not to {task}; "
                "choose another version with --load-versions"
            )
        if not manifest.used:
            raise ArtifactError(
                f"ensemble {self.path} has no member with a weight above 0; {again}"
            )
        if manifest.scale not in scales:
            raise ArtifactError(
                f"ensemble {self.path} combines on the scale {manifest.scale!r}; this version of "
                f"seqtune knows {', '.join(scales)}; {again}"
            )
        if which != "best":
            raise ConfigurationError(
                f"weights={which!r} was asked of the ensemble {self.path}, whose members are "
                "weighed by their best weights and used with them; give weights='best' "
                f"({task}.predict.weights), or name a checkpoint"
            )

    def identity(self) -> Report:
        """Which ensemble it is, for reports."""
        manifest = self.manifest
        fields = {"name", "origin", "fingerprint", "weight", "score"}
        return {
            "ensemble": str(self.path),
            "weights": "best",
            "fingerprint": manifest.fingerprint,
            "scale": manifest.scale,
            "method": manifest.method,
            "members": [member.model_dump(include=fields) for member in manifest.used],
        }


def is_ensemble(path: Path) -> bool:
    """Whether a folder holds an ensemble and not a checkpoint."""
    return (path / MANIFEST).is_file()


def open_ensemble(path: Path) -> Ensemble:
    """Read and check the manifest of an ensemble folder."""
    manifest = read_manifest(
        path, MANIFEST, EnsembleManifest, what="ensemble", version=FORMAT_VERSION, hint=_AGAIN
    )
    return Ensemble(path, manifest)


def require_weights(weights: npt.NDArray[np.float64], num_members: int) -> None:
    """Refuse what is no weighting: one number a member, none below 0 and some above."""
    if weights.shape != (num_members,) or not (weights >= 0).all() or not weights.any():
        raise ValueError(f"{weights!r} are not weights of {num_members} members, some above 0")


def ensemble_fingerprint(
    shares: Mapping[str, float],
    *,
    scale: str,
    data_hash: str,
    decision: Mapping[str, Any] | None = None,
) -> str:
    """16 hex digits over who counts how much, by the hash of a member's weights, and how it is
    decided then."""
    counted = {sha: share for sha, share in shares.items() if share > 0}
    said: dict[str, Any] = {"shares": counted, "scale": scale, "data": data_hash}
    if decision:
        said["decision"] = dict(decision)
    return sha256(canonical_json(said).encode()).hexdigest()[:16]


class Pool(Protocol):
    """What members say about the rows held out: enough to score any weighting of them.

    Made by a task (it knows what a score is), searched by `ensembling` (it knows weights).
    """

    @property
    def metric(self) -> str:
        """What `score` measures, for people (`valid ndcg@10`); larger is better."""

    @property
    def num_members(self) -> int: ...

    @property
    def num_rows(self) -> int: ...

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales that members' scores can be brought to, the plainest first."""

    def score(
        self,
        weights: npt.NDArray[np.float64],
        *,
        scale: str,
        rows: npt.NDArray[np.int64] | None = None,
        decided_on: npt.NDArray[np.int64] | None = None,
    ) -> float:
        """The metric of a weighting (non-negative, one for each member) over some rows, or all.

        Where a weighting needs more to decide (thresholds), that is found on the rows `decided_on`;
        None: on the rows scored.
        """

    def decision(self, weights: npt.NDArray[np.float64], *, scale: str) -> Mapping[str, Any]:
        """What else belongs to a weighting, found on all rows; JSON-ready, empty where nothing."""

    def facts(self) -> Mapping[str, Any]:
        """How far the pool is exact, and what it left out; JSON-ready."""


_AGAIN = (
    "choose another version with --load-versions, or make it again (kedro run --pipelines ensemble)"
)
