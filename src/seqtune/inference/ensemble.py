"""A checkpoint or an ensemble folder, opened in one way: read the manifests, check, open members.

A checkpoint alone is an ensemble of one, so that a task scores both by the same code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from seqtune.core.checkpoint import Which
from seqtune.core.ensemble import Ensemble, is_ensemble, open_ensemble
from seqtune.core.reports import Report
from seqtune.core.task import TrainingData

from .checkpoint import CheckpointInfo, Config, LoadedCheckpoint

logger = logging.getLogger(__name__)

MODEL = "model"
"""Name of the member where a checkpoint stands alone."""

MemberT = TypeVar("MemberT", bound=CheckpointInfo[Any])
LoadedT = TypeVar("LoadedT", bound=LoadedCheckpoint[Any])
LoadedT_co = TypeVar("LoadedT_co", bound=LoadedCheckpoint[Any], covariant=True)


class Load(Protocol[LoadedT_co]):
    """Opens one checkpoint, on a device or where it was trained."""

    def __call__(
        self, path: Path, which: Which = "best", *, device: str | None = None
    ) -> LoadedT_co: ...


@dataclass(frozen=True)
class ModelEnsemble(Generic[MemberT, Config]):
    """The members that count, on disk or in memory; a task adds what they compute together."""

    path: Path
    """The folder that was opened."""
    members: Mapping[str, MemberT]
    """In the order of the manifest, by name."""
    ensemble: Ensemble | None = None
    """None: a checkpoint alone."""

    @classmethod
    def read(
        cls,
        path: Path,
        which: Which,
        read_member: Callable[[Path, Which], MemberT],
        *,
        task: str,
        scales: tuple[str, ...],
        require_compatible: Callable[[Mapping[str, MemberT]], None],
    ) -> Self:
        """Open a folder; an ensemble has its `best` weights only.

        `scales` are the task's: what members' scores can be brought to before they are added up.
        """
        if not is_ensemble(path):
            return cls(path, {MODEL: read_member(path, which)})
        ensemble = open_ensemble(path)
        ensemble.require_usable(task, which, scales=scales)
        ensemble.checkpoints()  # that they are those it was made with
        folders = ensemble.member_paths()
        members = {name: read_member(folder, which) for name, folder in folders.items()}
        require_compatible(members)
        return cls(path, members, ensemble)

    @property
    def first(self) -> MemberT:
        return next(iter(self.members.values()))

    @property
    def config(self) -> Config:
        """The first member's: what it says of reading and evaluating holds for all."""
        config: Config = self.first.config
        return config

    @property
    def kind(self) -> str:
        """model or ensemble, for people."""
        return "ensemble" if self.ensemble else MODEL

    @property
    def shares(self) -> dict[str, float]:
        """How much each member counts."""
        if self.ensemble is None:
            return {MODEL: 1.0}
        return {member.name: member.weight for member in self.ensemble.manifest.used}

    @property
    def paths(self) -> dict[str, Path]:
        """Folders of the members."""
        return {name: member.path for name, member in self.members.items()}

    @property
    def data_hash(self) -> str:
        """Content hash of the split that it was trained on."""
        return self.ensemble.manifest.data_hash if self.ensemble else self.first.data_hash

    def identity(self) -> Report:
        """Which weights these are, for reports."""
        return (self.ensemble or self.first).identity()

    def configuration(self) -> Report:
        """How each member was trained, for reports."""
        if self.ensemble is None:
            return self.first.configuration()
        configs = {name: member.configuration()["config"] for name, member in self.members.items()}
        return {"configs": configs}

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse data whose vocabulary or labels differ from those of training."""
        for member in self.members.values():
            member.require_assets(assets_hash, what=what)

    def warn_of_other_split(self, data: TrainingData, *, rows: str) -> None:
        """`rows` are what the task is made of, in the plural."""
        if self.data_hash != data.content_hash:
            logger.warning(
                "%s was trained on another split (content %s) than the present one (%s): %s held "
                "out here may have been trained on",
                self.path,
                self.data_hash[:12],
                data.content_hash[:12],
                rows,
            )


def load_members(
    paths: Mapping[str, Path], load: Load[LoadedT], which: Which = "best", *, device: str | None
) -> dict[str, LoadedT]:
    """Checkpoints by name, all on the device of the first."""
    members: dict[str, LoadedT] = {}
    for name, path in paths.items():
        members[name] = load(path, which, device=device)
        device = device or str(members[name].device)
    return members
