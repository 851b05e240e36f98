"""The ensemble folder: what the stage `ensemble` writes and every task reads like a checkpoint.

    members/<name>/       checkpoint folders of the members with a weight, each usable on its own
    ensemble.json         the manifest; written last, so that its presence means "complete"

Nothing in it can execute code when it is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import Field

from .checkpoint import NEXT_STEP, Checkpoint, Which, open_checkpoint
from .config import Section, canonical_json
from .errors import ArtifactError, ConfigurationError
from .manifests import InnerPath, Manifest, read_manifest
from .reports import Report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FORMAT_VERSION = 1
MANIFEST = "ensemble.json"
MEMBERS = "members"


class Member(Section):
    """One model of an ensemble."""

    name: InnerPath
    """Its folder below `members`."""
    origin: str
    """A description: trial 12 of a study, seed 7, a folder."""
    kind: Literal["network", "baseline"] = "network"
    fingerprint: str
    weights_sha256: str
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Share of the combination; 0: rejected, and without a folder."""
    score: float | None
    """The monitored metric at its best epoch; None without validation."""


class EnsembleManifest(Manifest):
    """Everything about an ensemble except its members' weights."""

    format_version: int = FORMAT_VERSION
    task: str
    fingerprint: str
    """Hash of the members used, their shares and how they are combined."""
    data_hash: str
    assets_hash: str
    reference: str
    """Fingerprint of the single checkpoint that it is compared with."""
    scale: str
    """The scale on which members' scores are added up; defined by the task."""
    method: str
    """How the shares were found."""
    members: tuple[Member, ...]
    metric: str
    decision: dict[str, Any] = Field(default_factory=dict)
    """What decisions need beside the shares: per-class thresholds, ..."""
    findings: dict[str, Any]
    """The comparison of methods and its numbers."""
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
        """Return the folders of the members used, by name."""
        return {member.name: self.path / MEMBERS / member.name for member in self.manifest.used}

    def checkpoints(self) -> dict[str, Checkpoint]:
        """Open the members used, each checked against the manifest."""
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
        """Refuse an ensemble that a task with these scales cannot open as those weights."""
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
                f"weights={which!r} was requested of the ensemble {self.path}, whose members are "
                "combined by their best weights only; give weights='best' "
                f"({task}.predict.weights), or name a checkpoint"
            )

    def identity(self) -> Report:
        """Identify the ensemble in reports."""
        manifest = self.manifest
        fields = {"name", "kind", "origin", "fingerprint", "weight", "score"}
        return {
            "ensemble": str(self.path),
            "weights": "best",
            "fingerprint": manifest.fingerprint,
            "scale": manifest.scale,
            "method": manifest.method,
            "members": [member.model_dump(include=fields) for member in manifest.used],
        }


def is_ensemble(path: Path) -> bool:
    """Whether a folder holds an ensemble, not a checkpoint."""
    return (path / MANIFEST).is_file()


def open_ensemble(path: Path) -> Ensemble:
    """Read and check the manifest of an ensemble folder."""
    manifest = read_manifest(
        path, MANIFEST, EnsembleManifest, what="ensemble", version=FORMAT_VERSION, hint=_AGAIN
    )
    return Ensemble(path, manifest)


def require_weights(weights: npt.NDArray[np.float64], num_members: int) -> None:
    """Refuse invalid weights: there must be one for each member, none negative and not all 0."""
    if weights.shape != (num_members,) or not (weights >= 0).all() or not weights.any():
        raise ValueError(f"{weights!r} are not weights of {num_members} members, some above 0")


def ensemble_fingerprint(
    shares: Mapping[str, float],
    *,
    scale: str,
    data_hash: str,
    decision: Mapping[str, Any] | None = None,
) -> str:
    """Return 16 hex digits over the shares (by the hash of a member's weights) and the decision."""
    used = {sha: share for sha, share in shares.items() if share > 0}
    content: dict[str, Any] = {"shares": used, "scale": scale, "data": data_hash}
    if decision:
        content["decision"] = dict(decision)
    return sha256(canonical_json(content).encode()).hexdigest()[:16]


class Pool(Protocol):
    """Members' predictions for the held-out rows: enough to score any weights of the members.

    A task makes it (it defines the score); `ensembling` searches the weights.
    """

    @property
    def metric(self) -> str:
        """Display name of what `score` measures (`valid ndcg@10`); larger is better."""

    @property
    def num_members(self) -> int: ...

    @property
    def num_rows(self) -> int: ...

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales on which members' scores can be added up, the simplest first."""

    def score(
        self,
        weights: npt.NDArray[np.float64],
        *,
        scale: str,
        rows: npt.NDArray[np.int64] | None = None,
        decided_on: npt.NDArray[np.int64] | None = None,
    ) -> float:
        """Return the metric of weights (non-negative, one for each member) on some rows, or all.

        What decisions need beside them (thresholds) is found on the rows `decided_on`; None: on the
        rows scored.
        """

    def decision(self, weights: npt.NDArray[np.float64], *, scale: str) -> Mapping[str, Any]:
        """Return what decisions need beside the weights, found on all rows; JSON-ready."""

    def facts(self) -> Mapping[str, Any]:
        """Describe how exact the pool is and what it leaves out; JSON-ready."""


_AGAIN = (
    "choose another version with --load-versions, or make it again (kedro run --pipelines ensemble)"
)
