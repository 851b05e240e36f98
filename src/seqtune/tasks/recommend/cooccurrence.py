"""Item-to-item counts: how often, and how closely, items occur together in the training part.

A pair of items of one user, d positions apart, counts 1/d up to REACH, and half as much in the
direction against time. Counts are divided by powers of how often both items occur, so that popular
items are not everybody's neighbours, and only an item's best neighbours are kept. What follows a
history is scored by the sum over its last items, older ones weigh less. The constants were chosen
on the valid parts of three data sets (docs/LOG.md).

Shapes: B batch, T time, K last items, V items, N pairs that are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .data import Int64, SplitData
from .item_regression import Floats, regression_weights

if TYPE_CHECKING:
    from scipy.sparse import csr_array

REACH = 10
AGAINST_TIME = 0.5
EARLIER_POWER, LATER_POWER = 0.5, 0.25
MOST_NEIGHBOURS, FEWEST_NEIGHBOURS = 200, 10
MOST_PAIRS = 4_000_000
"""Of large catalogues, fewer neighbours of each item are kept: they are stored in checkpoints."""
LAST_ITEMS = 10
DECAY = 0.8
MOST_INTERACTIONS = 5_000_000
"""Beyond it, evenly spaced users are counted."""
OVERSAMPLED = 10
"""Dimensions beyond those that are kept, for the precision of the SVD."""
CHUNK = 1 << 22  # interactions counted at a time
OF_REGRESSION = 0.7
"""Share of the regression where both are mixed."""

_REMEMBERED: dict[tuple[str, bool], csr_array] = {}


class Cooccurrence(nn.Module):
    """The weights of the kept pairs. Items are 1..V; padding and [MASK] have no neighbours."""

    pairs: Tensor
    weights: Tensor

    def __init__(self, *, num_items: int, num_pairs: int) -> None:
        super().__init__()
        self._base = num_items + 2
        self.register_buffer("pairs", torch.zeros(num_pairs, dtype=torch.int64))
        """item * (V + 2) + neighbour, ascending"""
        self.register_buffer("weights", torch.zeros(num_pairs))

    @classmethod
    def of(cls, data: SplitData, *, regression: bool = False) -> Cooccurrence:
        """Count the training part; linear in interactions. With `regression`, add the weights of
        item_regression.py."""
        weights = _kept_weights(data, regression=regression).tocoo()
        made = cls(num_items=data.num_items, num_pairs=weights.nnz)
        items, neighbours = (torch.from_numpy(own).long() for own in weights.coords)
        made.pairs.copy_(items * made._base + neighbours)
        made.weights.copy_(torch.from_numpy(weights.data))
        return made

    def scores(self, contexts: Tensor) -> Tensor:
        """Return fp32 [B, V] of all items after the last items [B, K], latest first."""
        starts = torch.searchsorted(self.pairs, contexts * self._base).flatten()
        ends = torch.searchsorted(self.pairs, (contexts + 1) * self._base).flatten()
        of, pairs = expand(starts, ends - starts)  # `of` is a place in `contexts`
        weights = self.weights[pairs] * _decay(contexts)[of % contexts.shape[1]]
        scores = torch.zeros(len(contexts), self._base, device=contexts.device)
        where = of // contexts.shape[1], self.pairs[pairs] % self._base
        return scores.index_put_(where, weights, accumulate=True)[:, 1:-1]

    def probabilities(self, contexts: Tensor) -> Tensor:
        """Return the scores [B, V] as shares of their sum; 0 after items without neighbours."""
        return functional.normalize(self.scores(contexts), p=1.0, dim=1)

    def item_vectors(self, width: int) -> Tensor:
        """Return vectors [V, D] of unit variance, near each other for items that occur together.

        A truncated SVD of the square roots of the weights; roots, so that the strongest pairs do
        not fill all dimensions. Zero for items without neighbours.
        """
        num_items = self._base - 2
        vectors = torch.zeros(num_items, width)
        if not len(self.pairs):
            return vectors
        places = torch.stack([self.pairs // self._base, self.pairs % self._base]) - 1
        roots = torch.sparse_coo_tensor(
            places, self.weights.sqrt(), (num_items, num_items), check_invariants=False
        )
        rank = min(width + OVERSAMPLED, num_items)
        left, values, _ = torch.svd_lowrank((roots + roots.t()).coalesce(), q=rank, niter=4)
        found = (left * values.sqrt())[:, :width]
        known = torch.zeros(num_items, dtype=torch.bool).index_fill(0, places.flatten(), True)
        vectors[known, : found.shape[1]] = found[known] / found.std()
        return vectors


def last_items(inputs: Tensor) -> Tensor:
    """Return int64 [B, K]: the last items of sequences [B, T] that end in [MASK], latest first."""
    before = functional.pad(inputs[:, :-1], (LAST_ITEMS, 0)).long()
    return before[:, -LAST_ITEMS:].flip(1)


def expand(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return all places of the ranges that begin at `starts`, each after its range's number."""
    of = torch.repeat_interleave(lengths)
    within = torch.arange(len(of), device=of.device) - (lengths.cumsum(0) - lengths)[of]
    return of, starts[of] + within


def _decay(contexts: Tensor) -> Tensor:  # [K]
    return DECAY ** torch.arange(contexts.shape[1], device=contexts.device)


def _kept_weights(data: SplitData, *, regression: bool) -> csr_array:
    """Return the weights [V + 1, V + 1] of the kept pairs.

    Those of the last split are remembered: a dry run, a forecast, the evaluation and every trial of
    a search ask for them.
    """
    key = data.content_hash, regression
    if any(split != data.content_hash for split, _ in _REMEMBERED):
        _REMEMBERED.clear()
    if key not in _REMEMBERED:
        num_neighbours = max(MOST_PAIRS // data.num_items, FEWEST_NEIGHBOURS)
        num_neighbours = min(num_neighbours, MOST_NEIGHBOURS, data.num_items)
        weights = _mix(data, num_neighbours) if regression else _count(data)
        _REMEMBERED[key] = _strongest(weights, num_neighbours=num_neighbours)
    return _REMEMBERED[key]


def _mix(data: SplitData, num_neighbours: int) -> csr_array:
    """Return the kept counts and the regression, each by its share of the mean sum of weights."""
    counted = _kept_weights(data, regression=False)
    learned = regression_weights(data, num_neighbours=num_neighbours)
    parts = [(counted, 1.0 - OF_REGRESSION), (learned, OF_REGRESSION)]
    return sum(share / _mass(weights, data) * weights for weights, share in parts)


def _count(data: SplitData) -> csr_array:
    """Return the weights [V + 1, V + 1] of all pairs that occur."""
    from scipy.sparse import csr_array, diags_array

    occurrences = np.maximum(data.train_counts.astype(np.float64), 1.0)
    counts = csr_array((data.num_items + 1, data.num_items + 1), dtype=np.float32)
    for first, second, weights in _pairs(data):
        counts += csr_array((weights, (first, second)), shape=counts.shape, dtype=np.float32)
    counts = counts + AGAINST_TIME * counts.T
    earlier, later = occurrences**-EARLIER_POWER, occurrences**-LATER_POWER
    return csr_array(diags_array(earlier) @ counts @ diags_array(later))


def _mass(weights: csr_array, data: SplitData) -> float:
    """Return the mean sum of an item's weights, over the interactions."""
    return float(np.average(weights.sum(axis=1), weights=data.train_counts)) or 1.0


def _pairs(data: SplitData) -> Iterator[tuple[Int64, Int64, Floats]]:
    """Yield pairs of training items with their weights, for some users and one distance a time."""
    step = -(-int(data.offsets[-1]) // MOST_INTERACTIONS)
    for start, end in data.chunks_of_users(CHUNK):
        items, within = data.training_items(np.arange(start, end)[::step])
        for distance in range(1, REACH + 1):
            second = np.flatnonzero(within >= distance)
            weights = np.full(len(second), 1.0 / distance, np.float32)
            yield items[second - distance], items[second], weights


def _strongest(weights: csr_array, *, num_neighbours: int) -> csr_array:
    """Keep the largest weights of each item."""
    from scipy.sparse import csr_array

    found = weights.tocoo()
    items, values = found.coords[0].astype(np.int64), found.data
    order = np.lexsort((-values, items))
    ranks = np.arange(len(order)) - np.searchsorted(items[order], items[order])
    kept = order[ranks < num_neighbours]
    places = items[kept], found.coords[1][kept]
    return csr_array((values[kept], places), shape=weights.shape)
