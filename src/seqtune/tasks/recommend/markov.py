"""First-order Markov counts: how often an item directly follows another in the training part.

Shapes: B batch (users), V items, N transitions that occur, M transitions of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .cooccurrence import expand
from .data import Int32, Int64, SplitData

CHUNK = 1 << 22  # interactions counted at a time


class Markov(nn.Module):
    """The counts of all transitions. Items are 1..V; nothing follows padding and [MASK]."""

    starts: Tensor
    next_items: Tensor
    counts: Tensor

    def __init__(self, *, num_items: int, num_transitions: int) -> None:
        super().__init__()
        self._num_items = num_items
        self.register_buffer("starts", torch.zeros(num_items + 2, dtype=torch.int64))
        """item i's transitions are starts[i]:starts[i + 1]"""
        self.register_buffer("next_items", torch.zeros(num_transitions, dtype=torch.int32))
        self.register_buffer("counts", torch.zeros(num_transitions, dtype=torch.int32))

    @classmethod
    def of(cls, data: SplitData) -> Markov:
        """Count the training part; linear in interactions."""
        starts, next_items, counts = transitions(data)
        made = cls(num_items=data.num_items, num_transitions=len(counts))
        for buffer, values in (
            (made.starts, starts),
            (made.next_items, next_items),
            (made.counts, counts),
        ):
            buffer.copy_(torch.from_numpy(values))
        return made

    def scores(self, contexts: Tensor) -> Tensor:
        """Return int64 [B, V]: how often each item followed the last one, contexts[:, 0]."""
        starts = self.starts[contexts[:, 0]]  # [B]
        lengths = self.starts[contexts[:, 0] + 1] - starts  # [B]
        rows, places = expand(starts, lengths)  # [M]
        scores = torch.zeros(
            (len(contexts), self._num_items), dtype=torch.int64, device=contexts.device
        )
        scores[rows, self.next_items[places].long() - 1] = self.counts[places].long()
        return scores


def transitions(data: SplitData) -> tuple[Int64, Int64, Int64]:
    """Count how often item j follows item i in the training parts, by i: (starts, j, counts)."""
    width = data.num_items + 1
    found = [np.unique(keys, return_counts=True) for keys in _pairs(data, width)]
    keys = np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in found)])
    counts = np.concatenate([np.empty(0, np.int64), *(counts for _, counts in found)])
    distinct, where = np.unique(keys, return_inverse=True)
    totals = np.zeros(len(distinct), np.int64)
    np.add.at(totals, where, counts)
    first, following = np.divmod(distinct, width)
    starts = np.searchsorted(first, np.arange(width + 1)).astype(np.int64)
    return starts, following, totals


def _pairs(data: SplitData, width: int) -> Iterator[Int64]:
    """Yield each pair of consecutive training items as one number, a chunk of users at a time."""
    for start, end in data.chunks_of_users(CHUNK):
        offsets = data.offsets[start : end + 1]
        items = data.items[offsets[0] : offsets[-1]].astype(np.int64)
        first = np.flatnonzero(_has_trained_successor(np.diff(offsets), data.train_end[start:end]))
        yield items[first] * width + items[first + 1]


def _has_trained_successor(lengths: Int64, train_end: Int32) -> npt.NDArray[np.bool_]:
    """Mark the interactions of some users that are followed by a training interaction."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) < np.repeat(starts + train_end - 1, lengths)
