"""Which labels a text is given: by thresholds that were found on other texts.

Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from seqtune.text.split import Part

from .data import ClassifyData
from .ensemble import ClassifierEnsemble
from .thresholds import Floats, best_thresholds, cross_fitted

FOLD_SEED = 0
"""The same folds for all models."""
HELD_OUT: tuple[Part, ...] = ("valid", "test")


class Scores(NamedTuple):
    """Probabilities with the thresholds that decide them."""

    probabilities: Floats  # [N, L]
    thresholds: Floats | float  # for all, [L] or [N, L]


@dataclass(frozen=True)
class Decisions:
    """A model's probabilities of a split, and its thresholds."""

    model: ClassifierEnsemble[Any]
    data: ClassifyData
    score: Callable[[Part], Floats]
    """Its probabilities of a part, in its order [N, L]."""

    @cached_property
    def valid(self) -> Floats:
        return self.score("valid")

    @property
    def has_thresholds(self) -> bool:
        """Whether there is anything that they were found on."""
        return self.model.is_decided or self.data.has_validation

    @property
    def finds_thresholds(self) -> bool:
        """Whether they are found here, and not known already."""
        return self.data.has_validation and not self.model.is_decided

    @cached_property
    def thresholds(self) -> Floats:
        """Of each label [L], found on the whole of valid; 0.5 where nothing is held out for it."""
        if not self.finds_thresholds:
            return self.model.thresholds
        return best_thresholds(self.valid, self.data.targets("valid")).thresholds

    def scores(self, part: Part) -> Scores:
        """Of a part, with thresholds that were found on other rows."""
        if part == "valid":
            targets = self.data.targets("valid")
            return Scores(self.valid, cross_fitted(self.valid, targets, seed=FOLD_SEED))
        return Scores(self.score(part), self.thresholds)
