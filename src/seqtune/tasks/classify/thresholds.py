"""Exact search for the threshold with the best F1 of each label, by sorting once.

By decreasing probability, the F1 of giving a label to the first k rows is 2 * hits / (k + P) for P
positives; a threshold can only cut where the next probability is lower.
Shapes: N rows, L labels, K folds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtune.core.seeds import derive_seed

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[np.generic]

HALF = 0.5
"""The threshold of a label without positives."""
FOLDS = 10
"""Folds of cross-fitting: so many that thresholds are tuned on almost all rows."""


class BestThresholds(NamedTuple):
    """The best threshold of each label, and its F1."""

    thresholds: Floats  # [L], a label is given at or above it
    f1: Floats  # [L], 0 for a label without positives


class Ranked(NamedTuple):
    """Rows by decreasing probability, for each label separately."""

    order: npt.NDArray[np.int64]  # [L, N]
    probabilities: Floats  # [L, N]
    hits: Bools  # [L, N], whether the row has the label

    def only(self, wanted: Bools) -> Ranked:
        """Keep the marked rows [N], in their order."""
        kept = wanted[self.order]
        shape = len(self.order), int(wanted.sum())
        return Ranked._make(values[kept].reshape(shape) for values in self)


def rank(probabilities: Floats, targets: AnyArray) -> Ranked:
    """Sort rows by probability; `probabilities` and `targets` are [N, L]."""
    by_label = np.ascontiguousarray(probabilities.T)
    order = np.argsort(-by_label, axis=1)
    hits = np.ascontiguousarray(targets.T).astype(bool)
    return Ranked(
        order, np.take_along_axis(by_label, order, axis=1), np.take_along_axis(hits, order, axis=1)
    )


def best_of(ranked: Ranked) -> BestThresholds:
    """Return the best threshold of each label; among equal F1 the one that gives fewest labels."""
    num_labels, num_rows = ranked.hits.shape
    if not num_rows:
        return BestThresholds(np.full(num_labels, HALF), np.zeros(num_labels))
    f1 = _f1_by_place(ranked)
    place, labels = f1.argmax(axis=1), np.arange(num_labels)
    thresholds = _between(ranked.probabilities, place)
    is_known = ranked.hits.any(axis=1)
    return BestThresholds(np.where(is_known, thresholds, HALF), f1[labels, place])


def best_thresholds(probabilities: Floats, targets: AnyArray) -> BestThresholds:
    """Return the best threshold of each label for rows [N, L] in any order."""
    return best_of(rank(probabilities, targets))


def cross_fitted(
    probabilities: Floats, targets: AnyArray, *, seed: int, folds: int = FOLDS
) -> Floats:
    """Return thresholds [N, L]; those of each row are tuned on the other folds."""
    num_rows = len(probabilities)
    order = np.random.default_rng(derive_seed(seed, "thresholds")).permutation(num_rows)
    found = np.full(probabilities.shape, HALF)
    ranked = rank(probabilities, targets)
    for fold in np.array_split(order, min(folds, num_rows)) if num_rows > 1 else ():
        others = np.ones(num_rows, bool)
        others[fold] = False
        found[fold] = best_of(ranked.only(others)).thresholds
    return found


def f1_at_cuts(ranked: Ranked) -> tuple[list[Floats], list[Floats]]:
    """Return, for each label, the probabilities at which a threshold can cut and the F1 there."""
    f1 = _f1_by_place(ranked)
    cuts = [own[scores >= 0.0] for own, scores in zip(ranked.probabilities, f1, strict=True)]
    return cuts, [scores[scores >= 0.0] for scores in f1]


def _f1_by_place(ranked: Ranked) -> Floats:
    """Return F1 [L, N] of giving the label to all rows up to a place; -1 within ties."""
    num_rows = ranked.hits.shape[1]
    found = np.cumsum(ranked.hits, axis=1)
    f1: Floats = 2.0 * found / (np.arange(1, num_rows + 1) + found[:, -1:])
    equal = ranked.probabilities[:, :-1] == ranked.probabilities[:, 1:]
    f1[:, :-1][equal] = -1.0
    return f1


def _between(probabilities: Floats, place: npt.NDArray[np.int64]) -> Floats:
    """Return the midpoint [L] of the probability at a place and the next, or 0 after the last."""
    labels, last = np.arange(len(place)), probabilities.shape[1] - 1
    above = probabilities[labels, place]
    below = np.where(place < last, probabilities[labels, np.minimum(place + 1, last)], 0.0)
    middle = (above + below) / 2
    return np.where(middle > below, middle, above)  # adjacent floats have no midpoint
