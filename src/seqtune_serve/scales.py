"""Scales on which the scores of an ensemble's members are added, as in seqtune.

log_softmax    log-probability of an item among all items
ranks          minus the rank of an item among all items, the best 0; ties share their mean rank
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .graphs import Floats

RANKS = "ranks"
GRID = 2.0**30
"""Resolution of mean ranks: sums on it do not depend on the order of addition."""


def on_scale(scores: Floats, scale: str) -> Floats:
    """Return the scores of one member for one history [V] on a scale."""
    if scale != RANKS:
        return scores - log_sum_exp(scores)
    _, places, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    ranks: Floats = np.cumsum(counts) - counts + (counts - 1) / 2
    return -ranks[places]


def settled(total: Floats, scale: str) -> Floats:
    """Return the sum over members without the differences of its order."""
    return np.round(total * GRID) / GRID if scale == RANKS else total


def log_sum_exp(scores: Floats) -> np.floating[Any]:
    """Return the logarithm of the sum of the exponentials: softmax subtracts it."""
    largest = scores.max()
    total: np.floating[Any] = largest + np.log(np.exp(scores - largest).sum())
    return total
