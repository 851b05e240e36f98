"""Find weights by every method on every scale, and choose by cross-validation.

Shapes: K folds, M members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from seqtune.core.config import EnsembleConfig
from seqtune.core.ensemble import Pool
from seqtune.core.errors import ConfigurationError, DataError

from .comparison import Comparison, ComparisonSettings, explain_choice
from .folds import Fold, Rows, cut_folds
from .methods import EQUAL, METHODS, SINGLE, Floats, find_weights


@dataclass(frozen=True)
class Weighing:
    """The choice, and the comparison that it is based on."""

    method: str
    scale: str
    weights: tuple[float, ...]
    """One for each member, in the order of the pool; they add up to 1."""
    score: float
    """Of these weights on all rows, which they were found on."""
    metric: str
    num_rows: int
    num_folds: int
    alone: tuple[float, ...]
    """The score of each member by itself."""
    rows: tuple[Comparison, ...]
    """By scale and method, the simplest first."""
    reason: str
    """An explanation in a sentence."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def weigh(pool: Pool, settings: EnsembleConfig, *, seed: int, num_baselines: int = 0) -> Weighing:
    """Choose method and scale by cross-validation; among equals the first of METHODS, then the
    pool's first scale. The last `num_baselines` members are not networks."""
    _refuse_empty(pool)
    folds = cut_folds(pool.num_rows, settings.folds, seed=seed)
    scales = _scales(pool, settings)
    rows = _compare(_Finder(pool, settings, seed, num_baselines), scales, folds)
    best = _choose(rows, settings, num_folds=len(folds))
    compared = ComparisonSettings(pool.metric, settings.weights, pool.num_rows, len(folds))
    return Weighing(
        method=best.method,
        scale=best.scale,
        weights=best.weights,
        score=best.score,
        metric=pool.metric,
        num_rows=pool.num_rows,
        num_folds=len(folds),
        alone=tuple(pool.score(one, scale=scales[0]) for one in np.eye(pool.num_members)),
        rows=rows,
        reason=explain_choice(best, rows, compared),
    )


@dataclass(frozen=True)
class _Finder:
    """Finds weights on some rows of a pool and scores them on others."""

    pool: Pool
    settings: EnsembleConfig
    seed: int
    num_baselines: int = 0

    def weights(self, method: str, scale: str, rows: Rows | None = None) -> Floats:  # [M]
        return find_weights(
            method,
            lambda weights: self.pool.score(weights, scale=scale, rows=rows),
            self.pool.num_members,
            rounds=self.settings.greedy_rounds,
            seed=self.seed,
            num_baselines=self.num_baselines,
        )

    def held_out(self, method: str, scale: str, fold: Fold) -> float:
        weights = self.weights(method, scale, fold.others)
        return self.pool.score(weights, scale=scale, rows=fold.held_out, decided_on=fold.others)


def _compare(
    finder: _Finder, scales: Sequence[str], folds: Sequence[Fold]
) -> tuple[Comparison, ...]:
    values = {
        (scale, method): np.array([finder.held_out(method, scale, fold) for fold in folds])  # [K]
        for scale in scales
        for method in _methods(finder.settings)
    }
    single = values[scales[0], SINGLE]
    found = []
    for (scale, method), scores in values.items():
        weights, differences = finder.weights(method, scale), scores - single
        found.append(
            Comparison(
                method=method,
                scale=scale,
                cv_mean=float(scores.mean()),
                cv_std=_deviation(scores),
                difference=float(differences.mean()),
                difference_se=_deviation(differences) / float(np.sqrt(len(folds))),
                weights=tuple(weights.tolist()),
                score=finder.pool.score(weights, scale=scale),
            )
        )
    return tuple(found)


def _choose(rows: Sequence[Comparison], settings: EnsembleConfig, *, num_folds: int) -> Comparison:
    """Return the best mean by cross-validation, the simplest among equals."""
    allowed = [row for row in rows if settings.weights in ("auto", row.method)]
    if settings.weights == "auto" and num_folds < 2:
        allowed = [row for row in allowed if row.method == SINGLE]
    highest = max(row.cv_mean for row in allowed)
    equals = [row for row in allowed if row.cv_mean >= highest - EQUAL]
    return min(equals, key=lambda row: METHODS.index(row.method))  # min keeps the first scale


def _methods(settings: EnsembleConfig) -> tuple[str, ...]:
    """Return the methods to compare, always with single."""
    if settings.weights == "auto":
        return METHODS
    return tuple(dict.fromkeys((SINGLE, settings.weights)))


def _scales(pool: Pool, settings: EnsembleConfig) -> tuple[str, ...]:
    if settings.scale == "auto":
        return pool.scales
    if settings.scale not in pool.scales:
        raise ConfigurationError(
            f"scale={settings.scale!r} is not a scale of this task; choose one of "
            f"{', '.join(('auto', *pool.scales))} (ensemble.scale)"
        )
    return (settings.scale,)


def _refuse_empty(pool: Pool) -> None:
    if pool.num_members < 1:
        raise ConfigurationError("an ensemble needs at least one member; 0 were given")
    if pool.num_rows < 1:
        raise DataError(
            "weights are found on held-out rows, and valid has 0 of them; split with a valid part"
        )


def _deviation(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
