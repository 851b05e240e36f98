"""A baseline that counts, as a member of an ensemble: its scores are log-probabilities.

They are its counts as shares of their sum, mixed with a little of the items' popularity, so that
no item is impossible and ties go to the more popular one.

Shapes: B batch (users), T time, K last items, V items.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from .baselines import ITEM_TO_ITEM, MARKOV
from .cooccurrence import LAST_ITEMS, Cooccurrence, last_items
from .data import SplitData
from .markov import Markov
from .params import RecommendConfig
from .score_normalization import exact_type

OF_POPULARITY = 0.01
"""Share of popularity in the probabilities."""


class CountedModel(nn.Module):
    """Counts and the items' popularity, behind what is used of a network."""

    popularity: Tensor

    def __init__(self, counts: Cooccurrence | Markov, popularity: Tensor) -> None:
        super().__init__()
        self.counts = counts
        self.register_buffer("popularity", popularity)  # int64 [V]
        self.num_items = len(popularity)
        self.mask_token = self.num_items + 1
        self.max_len = LAST_ITEMS + 1

    def next_item_scores(self, items: Tensor) -> Tensor:
        """Return log-probabilities [B, V] of the next item; `items` [B, T] end in [MASK]."""
        kind = exact_type(items.device)
        counted = self.counts.scores(last_items(items)).to(kind)
        popular = self.popularity.to(kind) + 1
        shares = functional.normalize(counted, p=1.0, dim=1)
        return shares.lerp_(popular / popular.sum(), OF_POPULARITY).log_()

    @classmethod
    def of(cls, name: str, data: SplitData) -> CountedModel:
        """Count the training part."""
        counts = Markov.of(data) if name == MARKOV else Cooccurrence.of(data)
        return cls(counts, torch.tensor(data.train_counts[1:], dtype=torch.int64))

    @classmethod
    def sized_like(cls, name: str, weights: Mapping[str, Tensor]) -> CountedModel:
        """Return a model of the sizes of its weights, which are not loaded yet."""
        popularity = weights["popularity"]
        num_items = len(popularity)
        if name == MARKOV:
            num_transitions = len(weights["counts.counts"])
            return cls(Markov(num_items=num_items, num_transitions=num_transitions), popularity)
        num_pairs = len(weights["counts.pairs"])
        return cls(Cooccurrence(num_items=num_items, num_pairs=num_pairs), popularity)


def fit(
    name: str, data: SplitData, config: RecommendConfig, *, assets: Path
) -> dict[str, npt.NDArray[Any]]:
    """Count the training part; write the vocabulary."""
    data.write_assets(assets, config)
    weights = CountedModel.of(name, data).state_dict()
    return {key: tensor.numpy() for key, tensor in weights.items()}


fit_item_to_item, fit_markov = partial(fit, ITEM_TO_ITEM), partial(fit, MARKOV)
