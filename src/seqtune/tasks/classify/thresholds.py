"""The threshold of each label with exactly the best F1, by sorting once.

In falling order of probability, F1 of giving a label to the first k rows is 2 * hits / (k + P) for
P positives; a threshold can only cut where the next probability is lower.
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
"""The threshold of a label that nothing is known about: no row has it."""
FOLDS = 10
"""Of cross-fitting: with more of them, thresholds are found on almost all rows."""


class BestThresholds(NamedTuple):
    """What is found for each label."""

    thresholds: Floats  # [L], a label is given from here on
    f1: Floats  # [L], 0 for a label that no row has


class Ranked(NamedTuple):
    """Rows by falling probability, for each label on its own."""

    order: npt.NDArray[np.int64]  # [L, N]
    probabilities: Floats  # [L, N]
    hits: Bools  # [L, N], whether the row has the label

    def only(self, wanted: Bools) -> Ranked:
        """Some of the rows [N], in the order that they have among all."""
        kept = wanted[self.order]
        shape = len(self.order), int(wanted.sum())
        return Ranked(
            self.order[kept].reshape(shape),
            self.probabilities[kept].reshape(shape),
            self.hits[kept].reshape(shape),
        )


def rank(probabilities: Floats, targets: AnyArray) -> Ranked:
    """Sort; `probabilities` and `targets` are [N, L]."""
    by_label = np.ascontiguousarray(probabilities.T)
    order = np.argsort(-by_label, axis=1)
    hits = np.ascontiguousarray(targets.T).astype(bool)
    return Ranked(
        order, np.take_along_axis(by_label, order, axis=1), np.take_along_axis(hits, order, axis=1)
    )


def best_of(ranked: Ranked) -> BestThresholds:
    """The best threshold of each label; of equally good ones that which gives the fewest."""
    num_labels, num_rows = ranked.hits.shape
    if not num_rows:
        return BestThresholds(np.full(num_labels, HALF), np.zeros(num_labels))
    f1 = _f1_by_place(ranked)
    place, labels = f1.argmax(axis=1), np.arange(num_labels)
    thresholds = _between(ranked.probabilities, place)
    is_known = ranked.hits.any(axis=1)
    return BestThresholds(np.where(is_known, thresholds, HALF), f1[labels, place])


def best_thresholds(probabilities: Floats, targets: AnyArray) -> BestThresholds:
    """The same of rows [N, L] in any order."""
    return best_of(rank(probabilities, targets))


def cross_fitted(
    probabilities: Floats, targets: AnyArray, *, seed: int, folds: int = FOLDS
) -> Floats:
    """Thresholds [N, L] for rows to be scored on: those of a row are found without its fold."""
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
    """Of each label the probabilities where a threshold can cut, falling, and F1 from there on."""
    f1 = _f1_by_place(ranked)
    can = f1 >= 0.0
    cuts = [own[here] for own, here in zip(ranked.probabilities, can, strict=True)]
    return cuts, [own[here] for own, here in zip(f1, can, strict=True)]


def _f1_by_place(ranked: Ranked) -> Floats:
    """F1 [L, N] with all rows up to a place; -1 between equal probabilities."""
    num_rows = ranked.hits.shape[1]
    found = np.cumsum(ranked.hits, axis=1)
    f1: Floats = 2.0 * found / (np.arange(1, num_rows + 1) + found[:, -1:])
    equal = ranked.probabilities[:, :-1] == ranked.probabilities[:, 1:]
    f1[:, :-1][equal] = -1.0
    return f1


def _between(probabilities: Floats, place: npt.NDArray[np.int64]) -> Floats:
    """Halfway [L] from the probability at a place to the next, after the last one to 0."""
    labels, last = np.arange(len(place)), probabilities.shape[1] - 1
    above = probabilities[labels, place]
    below = np.where(place < last, probabilities[labels, np.minimum(place + 1, last)], 0.0)
    middle = (above + below) / 2
    return np.where(middle > below, middle, above)  # neighbours have nothing between them
