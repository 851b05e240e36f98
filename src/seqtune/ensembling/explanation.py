"""The choice in a sentence that a person understands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from .methods import SINGLE


class Compared(Protocol):
    """What the sentence speaks of."""

    @property
    def method(self) -> str: ...
    @property
    def scale(self) -> str: ...
    @property
    def cv_mean(self) -> float: ...
    @property
    def difference(self) -> float: ...
    @property
    def difference_se(self) -> float: ...
    @property
    def weights(self) -> tuple[float, ...]: ...


class ComparisonSettings(NamedTuple):
    """What the comparison was made of."""

    metric: str
    weights: str
    """The setting: auto or a method."""
    num_rows: int
    num_folds: int

    @property
    def folds(self) -> str:
        text = f"{self.num_folds}-fold cross-validation"
        return f"{text} (as many folds as rows)" if self.num_folds == self.num_rows else text


def reason_for(best: Compared, rows: Sequence[Compared], asked: ComparisonSettings) -> str:
    """Why this one and not another."""
    if len(best.weights) == 1:
        return "There is one member only, so there is nothing to weigh."
    single = rows[0]
    if asked.weights != "auto":
        chosen = f"{_name(best)} was asked for (weights={asked.weights})"
        if asked.num_folds < 2:
            return f"{chosen}; one row cannot be cross-validated."
        return f"{chosen}; in {asked.folds} it has {_numbers(best, single, asked.metric)}."
    if asked.num_folds < 2:
        return f"{_name(single)} is kept: one row cannot be cross-validated."
    if best.method != SINGLE:
        numbers = _numbers(best, single, asked.metric)
        return f"{_name(best)} did best in {asked.folds}: {numbers}."
    rival = max((row for row in rows if row.method != SINGLE), key=lambda row: row.cv_mean)
    return (
        f"{_name(single)} is kept, because no combination did better in {asked.folds}: the best of "
        f"them, {_name(rival)}, has {_numbers(rival, single, asked.metric)}."
    )


def _name(row: Compared) -> str:
    return "The best single member" if row.method == SINGLE else f"{row.method} on {row.scale}"


def _numbers(row: Compared, single: Compared, metric: str) -> str:
    if row.method == SINGLE:
        return f"{metric} {row.cv_mean:.4f}"
    numbers = (
        f"{metric} {row.cv_mean:.4f} against {single.cv_mean:.4f} of the best single member "
        f"({row.difference:+.4f}, standard error {row.difference_se:.4f})"
    )
    if 0.0 < abs(row.difference) <= row.difference_se:
        return f"{numbers}, a difference within the noise"
    return numbers
