"""What can score items, whatever it is made of: a checkpoint or an ensemble.

Shapes: B batch (users), T time, V items.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from seqtune.contracts.checkpoint import Which
from seqtune.contracts.ensemble import is_ensemble
from seqtune.contracts.task import Report

from .ensemble import describe_ensemble, load_ensemble
from .loading import LoadedModel, describe, load_model
from .params import RecommendConfig


class Told(Protocol):
    """Weights that no longer change, and all that is known of them while they lie on the disk."""

    @property
    def path(self) -> Path:
        """The folder that it was opened from."""

    @property
    def config(self) -> RecommendConfig: ...

    @property
    def data_hash(self) -> str:
        """Content hash of the split that it was trained on."""

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse to be used with other data than it was trained on."""

    def identity(self) -> Report:
        """Which weights these are, for reports."""

    def configuration(self) -> Report:
        """How they came to be, for reports."""


class Scorer(Told, Protocol):
    """The same ready to score."""

    @property
    def assets(self) -> Path:
        """The folder with the vocabulary that it speaks."""

    @property
    def device(self) -> torch.device: ...

    @property
    def num_items(self) -> int: ...

    @property
    def mask_token(self) -> int: ...

    @property
    def max_len(self) -> int:
        """The longest sequence that is looked at, [MASK] included."""

    def scores(self, inputs: Tensor) -> Tensor:
        """Scores [B, V] of every item as the next one; `inputs` [B, T] end in [MASK]."""

    def heaviest(self) -> tuple[LoadedModel, str]:
        """The one model that counts most, to look into, and its name."""


def describe_model(path: Path, which: Which = "best") -> Told:
    """Read what a checkpoint or an ensemble folder says of itself."""
    return describe_ensemble(path, which) if is_ensemble(path) else describe(path, which)


def open_model(path: Path, which: Which = "best", *, device: str | None = None) -> Scorer:
    """Open a checkpoint or an ensemble folder; an ensemble has its `best` weights only.

    `device` is where to compute; without one, where it was trained.
    """
    if is_ensemble(path):
        return load_ensemble(path, which, device=device)
    return load_model(path, which, device=device)
