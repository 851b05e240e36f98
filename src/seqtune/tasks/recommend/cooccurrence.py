"""Item-to-item counts: how often, and how closely, items occur together in the training part.

A pair of items of one user, d positions apart, counts 1/d up to REACH, and half as much in the
direction against time. Counts are divided by powers of how often both items occur, so that popular
items are not everybody's neighbours, and only an item's best neighbours are kept. What follows a
history is scored by the sum over its last items, older ones weigh less. The constants were chosen
on the valid parts of three data sets (docs/LOG.md).

Shapes: B batch, T time, K last items, M positions, V items, N pairs that are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from .data import Int64, SplitData

REACH = 10
AGAINST_TIME = 0.5
EARLIER_POWER, LATER_POWER = 0.5, 0.25
MOST_NEIGHBOURS = 200
LAST_ITEMS = 10
DECAY = 0.8
MOST_INTERACTIONS = 5_000_000
"""Beyond it, evenly spaced users are counted."""
CHUNK = 1 << 22  # interactions counted at a time

Floats = npt.NDArray[np.float32]


class Cooccurrence(nn.Module):
    """The weights of the kept pairs. Items are 1..V; padding and [MASK] have no neighbours."""

    pairs: Tensor
    weights: Tensor
    totals: Tensor
    earlier: Tensor
    later: Tensor

    def __init__(self, *, num_items: int, num_pairs: int) -> None:
        super().__init__()
        self._base = num_items + 2
        self.register_buffer("pairs", torch.zeros(num_pairs, dtype=torch.int64))
        """item * (V + 2) + neighbour, ascending"""
        self.register_buffer("weights", torch.zeros(num_pairs))
        self.register_buffer("totals", torch.zeros(self._base))  # of an item's weights
        self.register_buffer("earlier", torch.zeros(self._base))  # factor as earlier item of a pair
        self.register_buffer("later", torch.zeros(self._base))

    @classmethod
    def of(cls, data: SplitData) -> Cooccurrence:
        """Count the training part; linear in interactions."""
        from scipy.sparse import csr_array, diags_array

        occurrences = np.maximum(data.train_counts.astype(np.float64), 1.0)
        earlier, later = occurrences**-EARLIER_POWER, occurrences**-LATER_POWER
        counts = csr_array((data.num_items + 1, data.num_items + 1), dtype=np.float32)
        for first, second, weights in _pairs(data):
            counts += csr_array((weights, (first, second)), shape=counts.shape, dtype=np.float32)
        counts = counts + AGAINST_TIME * counts.T
        scaled = (diags_array(earlier) @ counts @ diags_array(later)).tocoo()
        base = data.num_items + 2
        kept = _strongest(scaled.coords[0].astype(np.int64), scaled.data)
        pairs = scaled.coords[0][kept].astype(np.int64) * base + scaled.coords[1][kept]
        order = np.argsort(pairs)
        made = cls(num_items=data.num_items, num_pairs=len(pairs))
        made.pairs.copy_(torch.from_numpy(pairs[order]))
        made.weights.copy_(torch.from_numpy(scaled.data[kept][order]))
        made.totals.index_add_(0, made.pairs // base, made.weights)
        made.earlier[:-1] = torch.from_numpy(earlier)
        made.later[:-1] = torch.from_numpy(later)
        return made

    def scores(self, contexts: Tensor) -> Tensor:
        """Return fp32 [B, V] of all items after the last items [B, K], latest first."""
        starts = torch.searchsorted(self.pairs, contexts * self._base).flatten()
        ends = torch.searchsorted(self.pairs, (contexts + 1) * self._base).flatten()
        lengths = ends - starts
        of = torch.repeat_interleave(lengths)  # place in `contexts` of each neighbour
        within = torch.arange(len(of), device=of.device) - (lengths.cumsum(0) - lengths)[of]
        pairs = starts[of] + within
        weights = self.weights[pairs] * _decay(contexts)[of % contexts.shape[1]]
        scores = torch.zeros(len(contexts), self._base, device=contexts.device)
        where = of // contexts.shape[1], self.pairs[pairs] % self._base
        return scores.index_put_(where, weights, accumulate=True)[:, 1:-1]

    def scores_without_own(self, contexts: Tensor, targets: Tensor) -> Tensor:
        """Return fp32 [M] of a target after each context [M, K] that it followed in training,
        without what this very sequence added to the counts."""
        wanted = contexts * self._base + targets[:, None]
        places = torch.searchsorted(self.pairs, wanted).clamp_(max=max(len(self.pairs) - 1, 0))
        weights = torch.where(self.pairs[places] == wanted, self.weights[places], 0.0)
        distances = torch.arange(1, contexts.shape[1] + 1, device=contexts.device)
        own = self.earlier[contexts] * self.later[targets][:, None] / distances
        return (weights - own).clamp_(min=0.0) @ _decay(contexts)

    def sum_of_scores(self, contexts: Tensor) -> Tensor:
        """Return the sum of `scores` over all items, [M], at least a tiny number."""
        return (self.totals[contexts] @ _decay(contexts)).clamp_(min=1e-9)


def last_items(items: Tensor, positions: Tensor, *, inclusive: bool) -> Tensor:
    """Return int64 [M, K]: the items [B, T] before positions into items.flatten(), latest first;
    with `inclusive`, from the one at the position on."""
    padded = functional.pad(items, (LAST_ITEMS - int(inclusive), 0)).long()
    windows = padded.unfold(1, LAST_ITEMS, 1)[:, : items.shape[1]]  # [B, T, K]
    return windows.flatten(0, 1).index_select(0, positions).flip(1)


def last_items_of(inputs: Tensor) -> Tensor:
    """Return int64 [B, K]: the last items of sequences [B, T] that end in [MASK], latest first."""
    ends = torch.arange(1, len(inputs) + 1, device=inputs.device) * inputs.shape[1] - 1
    return last_items(inputs, ends, inclusive=False)


def _decay(contexts: Tensor) -> Tensor:  # [K]
    return DECAY ** torch.arange(contexts.shape[1], device=contexts.device)


def _pairs(data: SplitData) -> Iterator[tuple[Int64, Int64, Floats]]:
    """Yield pairs of training items with their weights, for some users and one distance a time."""
    step = -(-int(data.offsets[-1]) // MOST_INTERACTIONS)
    edges = np.arange(0, int(data.offsets[-1]), CHUNK)
    bounds = np.unique([*np.searchsorted(data.offsets, edges), data.num_users])
    for start, end in pairwise(bounds):
        users = np.arange(start, end)[::step]
        lengths = data.train_end[users].astype(np.int64)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        items = data.items[np.repeat(data.offsets[users], lengths) + within].astype(np.int64)
        for distance in range(1, REACH + 1):
            second = np.flatnonzero(within >= distance)
            weights = np.full(len(second), 1.0 / distance, np.float32)
            yield items[second - distance], items[second], weights


def _strongest(items: Int64, weights: Floats) -> Int64:
    """Return the places of the MOST_NEIGHBOURS largest weights of each item."""
    order = np.lexsort((-weights, items))
    ranks = np.arange(len(order)) - np.searchsorted(items[order], items[order])
    kept: Int64 = order[ranks < MOST_NEIGHBOURS]
    return kept
