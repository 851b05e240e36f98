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

Shapes: B batch (users), K last items, V items.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .cooccurrence import Cooccurrence
from .data import SplitData
from .markov import Markov

POPULARITY = "popularity"
MARKOV = "markov"
ITEM_TO_ITEM = "item_to_item"
BASELINES = (ITEM_TO_ITEM, MARKOV, POPULARITY)

TIE_BREAKER = 1e-9  # of the most popular item


@dataclass(frozen=True)
class Baselines:
    """Counts of the training part on one device. Scores of the first two are exact integers."""

    popularity: Tensor  # int64 [V]
    markov: Markov
    cooccurrence: Cooccurrence

    @classmethod
    def of(cls, data: SplitData, *, device: torch.device | None = None) -> Baselines:
        """Count the training part; linear in interactions."""
        return cls(
            popularity=torch.tensor(data.train_counts[1:], dtype=torch.int64, device=device),
            markov=Markov.of(data).to(device),
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
        if name == POPULARITY:
            return self.popularity.repeat(len(contexts), 1)
        # one transition outweighs any popularity, which only breaks ties
        weight = self.popularity.max() + 1
        return self.markov.scores(contexts).mul_(weight).add_(self.popularity)
