"""An ensemble's models, ready to score as one.

Members are scored one after another, and each one's scores are added to a sum as soon as they are
there: a batch takes the room of one member's scores and of the sum, whatever their number.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqtune.contracts.checkpoint import Which
from seqtune.contracts.ensemble import Ensemble, open_ensemble
from seqtune.contracts.errors import ArtifactError, ConfigurationError
from seqtune.contracts.task import Report
from seqtune.opened import Described

from .loading import LoadedModel, describe, load_model
from .params import RecommendConfig
from .scales import SCALES, add_on_scale, exact_type, settle_ties


@dataclass(frozen=True)
class DescribedEnsemble:
    """The members of an ensemble that count, and all that is known of them while they lie on the
    disk."""

    ensemble: Ensemble
    members: Mapping[str, Described[RecommendConfig]]
    """In the order of the manifest, by name."""

    @property
    def path(self) -> Path:
        return self.ensemble.path

    @property
    def config(self) -> RecommendConfig:
        """The first member's: what it says of reading and evaluating holds for all."""
        return next(iter(self.members.values())).config

    @property
    def data_hash(self) -> str:
        return self.ensemble.manifest.data_hash

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        for member in self.members.values():
            member.require_assets(assets_hash, what=what)

    def identity(self) -> Report:
        return self.ensemble.identity()

    def configuration(self) -> Report:
        """How each member was trained, for reports."""
        found = {name: member.configuration()["config"] for name, member in self.members.items()}
        return {"configs": found}


@dataclass(frozen=True)
class LoadedEnsemble(DescribedEnsemble):
    """The same ready to score, all on one device."""

    members: Mapping[str, LoadedModel]

    @property
    def assets(self) -> Path:
        return self._first.assets

    @property
    def device(self) -> torch.device:
        return self._first.device

    @property
    def num_items(self) -> int:
        return self._first.num_items

    @property
    def mask_token(self) -> int:
        return self._first.mask_token

    @property
    def max_len(self) -> int:
        """The longest that any member sees."""
        return max(member.max_len for member in self.members.values())

    def scores(self, inputs: Tensor) -> Tensor:
        """Scores [B, V] of every item as the next one; `inputs` [B, T] end in [MASK].

        A single member's own scores, as any scale keeps their order; else fp64, the weighted mean
        over members on the ensemble's scale.
        """
        manifest = self.ensemble.manifest
        if len(self.members) == 1:
            return member_scores(self._first, inputs)
        total = torch.zeros(
            (len(inputs), self.num_items), dtype=exact_type(self.device), device=self.device
        )
        for member in manifest.used:
            scores = member_scores(self.members[member.name], inputs)
            add_on_scale(total, scores, manifest.scale, share=member.weight)
            del scores  # before the next one's are made
        return settle_ties(total, manifest.scale)

    def heaviest(self) -> tuple[LoadedModel, str]:
        """The one model that counts most, to look into, and its name."""
        manifest = self.ensemble.manifest
        member = max(manifest.used, key=lambda member: member.weight)
        name = f"member {member.name} of the ensemble {manifest.fingerprint}"
        return self.members[member.name], f"{name} (share {member.weight:.2f})"

    @property
    def _first(self) -> LoadedModel:
        return next(iter(self.members.values()))


def member_scores(member: LoadedModel, inputs: Tensor) -> Tensor:
    """Scores of one member for inputs that are as long as the longest member's.

    Inputs are aligned on the right, so what is left of the last `max_len` columns is what the
    member's own batches would hold.
    """
    return member.scores(inputs[:, -member.max_len :])


def describe_ensemble(path: Path, which: Which = "best") -> DescribedEnsemble:
    """Read what an ensemble folder and its members say of themselves."""
    ensemble = open_ensemble(path)
    ensemble.require_usable("recommend", which, scales=SCALES)
    ensemble.checkpoints()  # that they are those it was made with
    members = {name: describe(folder) for name, folder in ensemble.member_paths().items()}
    _refuse_disagreement(members)
    return DescribedEnsemble(ensemble, members)


def load_ensemble(
    path: Path, which: Which = "best", *, device: str | None = None
) -> LoadedEnsemble:
    """Open an ensemble folder with its members."""
    ensemble = describe_ensemble(path, which).ensemble
    return LoadedEnsemble(ensemble, open_members(ensemble.member_paths(), device=device))


def open_members(paths: Mapping[str, Path], *, device: str | None = None) -> dict[str, LoadedModel]:
    """Checkpoints that can be combined, on the device of the first."""
    members: dict[str, LoadedModel] = {}
    for name, path in paths.items():
        members[name] = load_model(path, device=device)
        device = device or str(members[name].device)
    _refuse_disagreement(members)
    return members


def _refuse_disagreement(members: Mapping[str, Described[RecommendConfig]]) -> None:
    """Members must speak of the same items, ranked among the same candidates."""
    (reference, first), *others = members.items()
    known = first.checkpoint.manifest.assets_hash
    for name, member in others:
        found = member.checkpoint.manifest.assets_hash
        if found != known:
            raise ArtifactError(
                f"members {reference} and {name} cannot be combined: their item numbers mean "
                f"different items (vocabularies {known[:12]} and {found[:12]}); combine "
                "checkpoints that were trained on the same interactions"
            )
        if member.config.evaluation.exclude_seen != first.config.evaluation.exclude_seen:
            raise ConfigurationError(
                f"members {reference} and {name} cannot be combined: evaluation.exclude_seen is "
                f"{first.config.evaluation.exclude_seen} in one and "
                f"{member.config.evaluation.exclude_seen} in the other; train both with the same"
            )
