"""Compare the Pareto front of a trial with several objectives with those of complete trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...studies.records import GOALS
from ..entries import PruningRule
from . import Case

MOST_AHEAD = 0.5
"""Share of the complete trials that may lie on better fronts: for one objective, the median."""


def reason(case: Case) -> str:
    """Sort the complete trials at the same epoch and this one into fronts."""
    epoch = str(max(case.curve))
    theirs = [found for one in case.complete if (found := one.user_attrs.get(GOALS, {}).get(epoch))]
    if not theirs or not case.goals or not case.is_check:
        return ""
    own, *fronts = front_numbers([case.goals, *theirs])
    num_ahead = sum(front < own for front in fronts)
    if num_ahead <= MOST_AHEAD * len(theirs):
        return ""
    return f"on Pareto front {own}, behind {num_ahead} of {len(theirs)} trials on better ones"


def front_numbers(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the front of each point: 1 if no other one dominates it, 2 without those of 1, ..."""
    values = np.asarray(points, dtype=np.float64)  # [N, goals]
    ours, theirs = values[:, None], values[None]
    beats = np.all(ours >= theirs, axis=-1) & np.any(ours > theirs, axis=-1)  # [N, N]
    fronts = np.zeros(len(values), dtype=np.int64)
    number = 0
    while np.any(left := fronts == 0):
        number += 1
        fronts[left & ~np.any(beats[left], axis=0)] = number
    return [int(front) for front in fronts]


ENTRY = PruningRule(
    reason, "several objectives: most complete trials lie on better Pareto fronts at the same epoch"
)
