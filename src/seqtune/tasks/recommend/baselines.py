"""Baselines that only count. A model below them is broken or undertrained.

popularity     an item scores how often it occurs in the training part
markov         an item scores how often it follows the user's last item in the training part
item_to_item   an item scores how often and how closely it occurs with the user's last items
               (`cooccurrence`); on sparse data the strongest by far

Ties (mostly 0) go to the more popular item. All count in the training part only and are ranked by
the same code, over the same candidates, as the model; remaining ties count against them. On
protocol P1 (ml-1m.txt, last item test, the one before valid, seen excluded) popularity gives
NDCG@10 / HR@10 0.0180 / 0.0369 on test, and markov 0.1259 / 0.2144 on test and 0.1345 / 0.2252 on
valid.

Shapes: B batch (users), K last items, V items, N transitions that occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .cooccurrence import Cooccurrence, expand
from .data import Int32, Int64, SplitData

POPULARITY = "popularity"
MARKOV = "markov"
ITEM_TO_ITEM = "item_to_item"
BASELINES = (ITEM_TO_ITEM, MARKOV, POPULARITY)

TIE_BREAKER = 1e-9  # of the most popular item
CHUNK = 1 << 22  # interactions counted at a time


@dataclass(frozen=True)
class Baselines:
    """Counts of the training part on one device. Scores of the first two are exact integers."""

    popularity: Tensor  # int64 [V]
    starts: Tensor  # int64 [V + 2]; item i's transitions are starts[i]:starts[i + 1]
    next_items: Tensor  # int64 [N]
    counts: Tensor  # int64 [N]
    cooccurrence: Cooccurrence

    @classmethod
    def of(cls, data: SplitData, *, device: torch.device | None = None) -> Baselines:
        """Count the training part; linear in interactions."""
        starts, next_items, counts = (
            torch.from_numpy(part).to(device) for part in transitions(data)
        )
        return cls(
            popularity=torch.tensor(data.train_counts[1:], dtype=torch.int64, device=device),
            starts=starts,
            next_items=next_items,
            counts=counts,
            cooccurrence=Cooccurrence.of(data).to(device),
        )

    def scores(self, name: str, contexts: Tensor) -> Tensor:
        """Return scores [B, V] of one baseline after the last items [B, K] of users, latest first
        (0: none)."""
        if name == ITEM_TO_ITEM:
            counted = self.cooccurrence.scores(contexts).double()
            return counted.add_(
                self.popularity, alpha=TIE_BREAKER / (1 + int(self.popularity.max()))
            )
        scores = self.popularity.repeat(len(contexts), 1)  # [B, V]
        if name == POPULARITY:
            return scores
        starts = self.starts[contexts[:, 0]]  # [B]
        lengths = self.starts[contexts[:, 0] + 1] - starts  # [B]
        rows, places = expand(starts, lengths)  # [M], M transitions of the batch
        # one transition outweighs any popularity, which only breaks ties
        weight = self.popularity.max() + 1
        scores[rows, self.next_items[places] - 1] += self.counts[places] * weight
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
