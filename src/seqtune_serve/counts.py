"""Item-to-item counts: a share of the scores beside those of the network.

Shapes: V items, N kept pairs, K last items, M items that have a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .graphs import Floats
from .scales import log_sum_exp

STARTS, NEIGHBOURS, WEIGHTS = "starts.npy", "neighbours.npy", "weights.npy"
SMALLEST_SUM = 1e-12


class Counts(NamedTuple):
    """The neighbours of each item with their weights."""

    starts: npt.NDArray[np.int64]  # [V + 2]: item n has the pairs starts[n] : starts[n + 1]
    neighbours: npt.NDArray[np.int32]  # [N]
    weights: npt.NDArray[np.float32]  # [N]
    share: float
    decay: Floats  # [K], the weight of the last items, latest first

    @classmethod
    def open(cls, folder: Path, *, share: float, decay: Sequence[float]) -> Counts:
        starts, neighbours, weights = (
            np.load(folder / name) for name in (STARTS, NEIGHBOURS, WEIGHTS)
        )
        return cls(starts, neighbours, weights, share, np.asarray(decay))

    def mix(self, scores: Floats, history: Sequence[int]) -> None:
        """Mix the counts after a history into the network's scores [V], in place: they become
        logarithms of the mixed probabilities."""
        scores -= log_sum_exp(scores)
        if not self.share:
            return
        scores += np.log1p(-self.share)
        items, probabilities = self._after(history)
        counted = np.log(probabilities) + np.log(self.share)
        scores[items - 1] = np.logaddexp(scores[items - 1], counted)

    def _after(self, history: Sequence[int]) -> tuple[npt.NDArray[np.int32], Floats]:
        """Return the items counted after a history, with their shares of the sum [M]."""
        last = history[: -len(self.decay) - 1 : -1]
        spans = [slice(self.starts[item], self.starts[item + 1]) for item in last]
        neighbours = [self.neighbours[span] for span in spans]
        weights = [w * self.weights[span] for w, span in zip(self.decay, spans, strict=False)]
        if not spans:
            return np.empty(0, np.int32), np.empty(0)
        items, places = np.unique(np.concatenate(neighbours), return_inverse=True)
        sums = np.bincount(places, np.concatenate(weights), minlength=len(items))
        return items, sums / max(sums.sum(), SMALLEST_SUM)
