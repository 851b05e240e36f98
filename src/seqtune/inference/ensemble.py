"""Open a checkpoint or an ensemble folder: read and check the manifests, then open the members.

A checkpoint is treated as an ensemble of one, so that a task scores both by the same code.
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
"""Name of the only member of a checkpoint."""

MemberT = TypeVar("MemberT", bound=CheckpointInfo[Any])
LoadedT = TypeVar("LoadedT", bound=LoadedCheckpoint[Any])
LoadedT_co = TypeVar("LoadedT_co", bound=LoadedCheckpoint[Any], covariant=True)


class Load(Protocol[LoadedT_co]):
    """Opens one checkpoint, by default on the device it was trained on."""

    def __call__(
        self, path: Path, which: Which = "best", *, device: str | None = None
    ) -> LoadedT_co: ...


@dataclass(frozen=True)
class ModelEnsemble(Generic[MemberT, Config]):
    """The members used, on disk or in memory; a task adds their joint prediction."""

    path: Path
    """The folder that was opened."""
    members: Mapping[str, MemberT]
    """In the order of the manifest, by name."""
    ensemble: Ensemble | None = None
    """None for a checkpoint."""

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
        """Open a folder; an ensemble has `best` weights only.

        `scales` are the scales of the task on which members' scores can be added up.
        """
        if not is_ensemble(path):
            return cls(path, {MODEL: read_member(path, which)})
        ensemble = open_ensemble(path)
        ensemble.require_usable(task, which, scales=scales)
        ensemble.checkpoints()  # raises if a member was replaced
        folders = ensemble.member_paths()
        members = {name: read_member(folder, which) for name, folder in folders.items()}
        require_compatible(members)
        return cls(path, members, ensemble)

    @property
    def first(self) -> MemberT:
        return next(iter(self.members.values()))

    @property
    def config(self) -> Config:
        """The first member's; its settings of reading and evaluation hold for all."""
        config: Config = self.first.config
        return config

    @property
    def kind(self) -> str:
        """For display: model or ensemble."""
        return "ensemble" if self.ensemble else MODEL

    @property
    def shares(self) -> dict[str, float]:
        """The weight of each member."""
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
        """Identify the weights in reports."""
        return (self.ensemble or self.first).identity()

    def configuration(self) -> Report:
        """Describe the training of each member in reports."""
        if self.ensemble is None:
            return self.first.configuration()
        configs = {name: member.configuration()["config"] for name, member in self.members.items()}
        return {"configs": configs}

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse data whose vocabulary or labels differ from those of training."""
        for member in self.members.values():
            member.require_assets(assets_hash, what=what)

    def warn_of_other_split(self, data: TrainingData, *, rows: str) -> None:
        """Warn if the data are of another split than in training; `rows` is the plural for rows."""
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
    """Load checkpoints by name, all on the device of the first."""
    members: dict[str, LoadedT] = {}
    for name, path in paths.items():
        members[name] = load(path, which, device=device)
        device = device or str(members[name].device)
    return members
