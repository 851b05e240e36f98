"""Split rows into folds, as a pure function of their number and a seed.

Shapes: N rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtune.core.seeds import derive_seed

Rows = npt.NDArray[np.int64]


class Fold(NamedTuple):
    """A part of the rows, and the others."""

    others: Rows
    """Weights are found on these."""
    held_out: Rows
    """And scored on these."""


def cut_folds(num_rows: int, num_folds: int, *, seed: int) -> list[Fold]:
    """Return `num_folds` folds, or one for each row if there are fewer rows. Their sizes differ by
    at most one row; a single row is used on both sides."""
    order = np.random.default_rng(derive_seed(seed, "folds")).permutation(num_rows)
    if num_rows < 2:
        return [Fold(order, order)]
    parts = np.array_split(order, min(num_folds, num_rows))
    return [
        Fold(np.sort(np.concatenate([*parts[:n], *parts[n + 1 :]])), np.sort(part))
        for n, part in enumerate(parts)
    ]
