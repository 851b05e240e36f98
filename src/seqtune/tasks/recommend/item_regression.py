"""Item-to-item weights by ridge regression: what each item of a history says about the next ones
that its other items do not say.

The last items before each position of the training part, older ones weigh less, predict the items
from there on; the same is done against time. Counts take every pair alone, so that of items which
always occur together each says as much as all of them. The constants were chosen on the valid parts
of three data sets (docs/LOG.md).

Shapes: V items, N positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .data import Int64, SplitData

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BEFORE, DECAY = 20, 0.8
AFTER, LATER_DECAY = 8, 0.5
AGAINST_TIME = 0.6
RIDGE = 100.0
MOST_ITEMS = 30_000
"""An inverse [V, V] is held in memory: 3.6 GB of it, and the time grows with the cube."""
MOST_INTERACTIONS = 1_000_000
"""Beyond it, evenly spaced users are taken."""
ITEMS_AT_ONCE = 512

Floats = npt.NDArray[np.float32]


def regression_weights(data: SplitData, *, num_neighbours: int) -> csr_array:
    """Return the positive weights [V + 1, V + 1] of what follows each item, the largest ones."""
    from scipy.sparse import csr_array, vstack

    earlier, later = _positions(data)
    inverse = _inverse((earlier.T @ earlier).toarray())
    together = earlier.T @ later
    following = (together + AGAINST_TIME * together.T).T.tocsr()
    rows = []
    for start in range(0, len(inverse), ITEMS_AT_ONCE):
        weights = (following @ inverse[:, start : start + ITEMS_AT_ONCE]).T
        least = np.partition(weights, -num_neighbours, axis=1)[:, [-num_neighbours]]
        rows.append(csr_array(np.where(weights >= np.maximum(least, 0.0), weights, 0.0)))
    return csr_array(vstack(rows))


def _positions(data: SplitData) -> tuple[csr_array, csr_array]:
    """Return the weights of the items before and after each position [N, V + 1]."""
    step = -(-int(data.offsets[-1]) // MOST_INTERACTIONS)
    users = np.arange(data.num_users)[::step]
    items, within = data.training_items(users)
    left = np.repeat(data.train_end[users], data.train_end[users]) - within
    before = [(within >= d, -d, DECAY ** (d - 1)) for d in range(1, BEFORE + 1)]
    after = [((within > 0) & (left > d), d, LATER_DECAY**d) for d in range(AFTER)]
    return _shifted(items, before, data.num_items), _shifted(items, after, data.num_items)


def _shifted(
    items: Int64, shifts: Iterable[tuple[npt.NDArray[np.bool_], int, float]], num_items: int
) -> csr_array:
    """Return the weights [N, V + 1] of the items so many places from each position, where there
    are such items."""
    from scipy.sparse import csr_array

    rows, columns, weights = [], [], []
    for exists, shift, weight in shifts:
        places = np.flatnonzero(exists)
        rows.append(places)
        columns.append(items[places + shift])
        weights.append(np.full(len(places), weight, np.float32))
    where = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.concatenate(weights), where), shape=(len(items), num_items + 1))


def _inverse(products: Floats) -> Floats:
    """Return the inverse of products [V + 1, V + 1] plus the ridge, in their memory."""
    from scipy.linalg.lapack import spotrf, spotri

    products.flat[:: len(products) + 1] += RIDGE
    factor, failed = spotrf(products.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        raise FloatingPointError(f"row {failed} of the regression has no factor")
    inverse = spotri(factor, lower=1, overwrite_c=1)[0].T  # its upper half
    for start in range(0, len(inverse), ITEMS_AT_ONCE):
        stop = start + ITEMS_AT_ONCE
        inverse[stop:, start:stop] = inverse[start:stop, stop:].T
        corner = np.triu(inverse[start:stop, start:stop])
        inverse[start:stop, start:stop] = corner + np.triu(corner, 1).T
    return np.asarray(inverse)
