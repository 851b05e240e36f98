"""Decide labels by thresholds that were tuned on other texts.

Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from seqtune.text.split import Part

from .data import ClassifyData
from .ensemble import ClassifierEnsemble
from .thresholds import Bools, Floats, best_thresholds, cross_fitted

FOLD_SEED = 0
"""The same folds for all models."""
HELD_OUT: tuple[Part, ...] = ("valid", "test")


class Scores(NamedTuple):
    """Probabilities and the thresholds to apply to them."""

    probabilities: Floats  # [N, L]
    thresholds: Floats | float  # one for all, [L] or [N, L]

    @property
    def decided(self) -> Bools:  # [N, L]
        return np.asarray(self.probabilities >= self.thresholds)


@dataclass(frozen=True)
class Decisions:
    """A model's probabilities of a split, and its thresholds."""

    model: ClassifierEnsemble[Any]
    data: ClassifyData
    score: Callable[[Part], Floats]
    """Returns the probabilities of a part, in its order [N, L]."""

    @cached_property
    def valid(self) -> Floats:
        return self.score("valid")

    @property
    def has_thresholds(self) -> bool:
        """Whether thresholds are tuned, here or with an ensemble's shares."""
        return self.model.is_decided or self.data.has_validation

    @property
    def finds_thresholds(self) -> bool:
        """Whether thresholds are tuned here."""
        return self.data.has_validation and not self.model.is_decided

    @cached_property
    def thresholds(self) -> Floats:
        """The threshold of each label [L], tuned on valid; 0.5 without a valid part."""
        if not self.finds_thresholds:
            return self.model.thresholds
        return best_thresholds(self.valid, self.data.targets("valid")).thresholds

    def scores(self, part: Part) -> Scores:
        """Score a part, with thresholds that were tuned on other rows."""
        if part == "valid":
            targets = self.data.targets("valid")
            return Scores(self.valid, cross_fitted(self.valid, targets, seed=FOLD_SEED))
        return Scores(self.score(part), self.thresholds)
