"""Score items with a checkpoint or the members of an ensemble.

Members are scored one after another and added to a running sum, so that a batch takes the memory of
one member's scores and the sum, however many members there are.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from seqtune.core.checkpoint import Which
from seqtune.core.errors import ArtifactError, ConfigurationError
from seqtune.inference import CheckpointInfo, ModelEnsemble, load_members

from .loading import LoadedModel, LoadedNetwork, describe, load_model
from .params import RecommendConfig
from .score_normalization import SCALES, add_on_scale, exact_type, settle_ties

EnsembleInfo = ModelEnsemble[CheckpointInfo[RecommendConfig], RecommendConfig]
"""Manifests and configurations, without the models."""


class Scorer(ModelEnsemble[LoadedModel, RecommendConfig]):
    """Loaded models, all on one device."""

    @property
    def assets(self) -> Path:
        """The folder with the vocabulary."""
        return self.first.assets

    @property
    def device(self) -> torch.device:
        return self.first.device

    @property
    def num_items(self) -> int:
        return self.first.model.num_items

    @property
    def max_len(self) -> int:
        """The longest sequence that any member reads, [MASK] included."""
        return max(member.max_len for member in self.members.values())

    def scores(self, inputs: Tensor) -> Tensor:
        """Return scores [B, V] of each item as the next one; `inputs` [B, T] end in [MASK].

        A single member's raw scores, because any scale keeps their order; otherwise fp64, the
        weighted mean over members on the ensemble's scale.
        """
        if self.ensemble is None or len(self.members) == 1:
            return member_scores(self.first, inputs)
        scale = self.ensemble.manifest.scale
        total = torch.zeros(
            (len(inputs), self.num_items), dtype=exact_type(self.device), device=self.device
        )
        for name, share in self.shares.items():
            scores = member_scores(self.members[name], inputs)
            add_on_scale(total, scores, scale, share=share)
            del scores  # before the next member allocates its scores
        return settle_ties(total, scale)

    def heaviest(self) -> tuple[LoadedNetwork, str]:
        """Return the network with the largest share, and its name."""
        networks = {n: m for n, m in self.members.items() if isinstance(m, LoadedNetwork)}
        if not networks:
            raise ConfigurationError(
                f"{self.path} has only baselines ({', '.join(self.members)}): they count, and "
                "have neither attention nor item vectors to explain. Explain a trained checkpoint"
            )
        if self.ensemble is None:
            (network,) = networks.values()
            return network, f"the checkpoint {network.manifest.fingerprint}"
        name = max(networks, key=self.shares.__getitem__)
        ensemble, share = self.ensemble.manifest.fingerprint, self.shares[name]
        return networks[name], f"member {name} of the ensemble {ensemble} (share {share:.2f})"


def member_scores(member: LoadedModel, inputs: Tensor) -> Tensor:
    """Return the scores of one member for inputs as long as the longest member's.

    Inputs are aligned on the right, so the last `max_len` columns are the member's own inputs.
    """
    return member.scores(inputs[:, -member.max_len :])


def describe_model(path: Path, which: Which = "best") -> EnsembleInfo:
    """Read the manifests of a checkpoint or an ensemble folder."""
    return EnsembleInfo.read(
        path,
        which,
        describe,
        task="recommend",
        scales=SCALES,
        require_compatible=require_compatible,
    )


def open_model(path: Path, which: Which = "best", *, device: str | None = None) -> Scorer:
    """Open a checkpoint or an ensemble folder, on `device` or the device type of its training."""
    info = describe_model(path, which)
    members = load_members(info.paths, load_model, which, device=device)
    return Scorer(path, members, info.ensemble)


def open_members(paths: Mapping[str, Path], *, device: str | None = None) -> dict[str, LoadedModel]:
    """Open checkpoints that can be combined, on the device of the first."""
    members = load_members(paths, load_model, device=device)
    require_compatible(members)
    return members


def require_compatible(members: Mapping[str, CheckpointInfo[RecommendConfig]]) -> None:
    """Refuse members that differ in their items or their candidates."""
    (reference, first), *others = members.items()
    known = first.manifest.assets_hash
    for name, member in others:
        found = member.manifest.assets_hash
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
