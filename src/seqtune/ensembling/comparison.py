"""Compare ways to combine members, and explain the choice in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .methods import SINGLE


@dataclass(frozen=True)
class Comparison:
    """One way to combine the members: its scores by cross-validation, and its weights."""

    method: str
    scale: str
    cv_mean: float
    """Mean score of the held-out rows over folds."""
    cv_std: float
    """Standard deviation of the same over folds."""
    difference: float
    """Mean improvement over the best single member, chosen on the same rows, over folds."""
    difference_se: float
    """Standard error of that mean over folds."""
    weights: tuple[float, ...]
    """Found on all rows."""
    score: float
    """On all rows, which the weights were found on, so slightly too high."""


class ComparisonSettings(NamedTuple):
    """The settings of the comparison."""

    metric: str
    weights: str
    """The setting: auto or a method."""
    num_rows: int
    num_folds: int

    @property
    def folds(self) -> str:
        text = f"{self.num_folds}-fold cross-validation"
        return f"{text} (as many folds as rows)" if self.num_folds == self.num_rows else text


def explain_choice(
    best: Comparison, rows: Sequence[Comparison], settings: ComparisonSettings
) -> str:
    """Explain in a sentence why this way was chosen."""
    if len(best.weights) == 1:
        return "There is one member only, so there is nothing to weigh."
    single = rows[0]
    if settings.weights != "auto":
        chosen = f"{_name(best)} was asked for (weights={settings.weights})"
        if settings.num_folds < 2:
            return f"{chosen}; one row cannot be cross-validated."
        return f"{chosen}; in {settings.folds} it has {_numbers(best, single, settings.metric)}."
    if settings.num_folds < 2:
        return f"{_name(single)} is kept: one row cannot be cross-validated."
    if best.method != SINGLE:
        numbers = _numbers(best, single, settings.metric)
        return f"{_name(best)} did best in {settings.folds}: {numbers}."
    rival = max((row for row in rows if row.method != SINGLE), key=lambda row: row.cv_mean)
    return (
        f"{_name(single)} is kept, because no combination did better in {settings.folds}: the best "
        f"of them, {_name(rival)}, has {_numbers(rival, single, settings.metric)}."
    )


def _name(row: Comparison) -> str:
    return "The best single member" if row.method == SINGLE else f"{row.method} on {row.scale}"


def _numbers(row: Comparison, single: Comparison, metric: str) -> str:
    if row.method == SINGLE:
        return f"{metric} {row.cv_mean:.4f}"
    numbers = (
        f"{metric} {row.cv_mean:.4f} against {single.cv_mean:.4f} of the best single member "
        f"({row.difference:+.4f}, standard error {row.difference_se:.4f})"
    )
    if 0.0 < abs(row.difference) <= row.difference_se:
        return f"{numbers}, a difference within the noise"
    return numbers
