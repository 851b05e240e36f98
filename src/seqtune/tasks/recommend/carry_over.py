"""The weights of a checkpoint for a split with another vocabulary.

An item that both know keeps its vector, whatever its side values are now; a new one starts as the
mean of the rarer half of the known ones. Item-to-item counts are those of the new split.

Shapes: D hidden, V items of the split, W items of the checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from seqtune.core.checkpoint import Checkpoint
from seqtune.inference.checkpoint import PREFIX

from .data import SplitData
from .loading import load_network
from .models.base import SequenceModel
from .module import RecommendModule
from .vocabulary import item_ids

OF_THE_DATA = ("counts.", "sides.")
"""Beginnings of the names of tensors that follow from the data."""


class MatchedItems(NamedTuple):
    """The items of a split among those of a checkpoint."""

    rows: Tensor
    """int64 [V]: its row in the checkpoint; -1 for a new item."""
    rare: Tensor
    """bool [W]: the rarer half of the known items."""

    @classmethod
    def of(cls, assets: Path, data: SplitData) -> MatchedItems:
        counts = np.load(assets / "train_counts.npy")[1:]
        known = item_ids(assets, num_items=len(counts))
        now = item_ids(data.path, num_items=data.num_items)
        rows = pc.fill_null(pc.index_in(_text(now), value_set=_text(known)), -1)
        rare = counts <= np.median(counts)
        return cls(torch.tensor(rows.to_numpy(), dtype=torch.int64), torch.from_numpy(rare))

    def take(self, values: Tensor) -> Tensor:
        """Return values [W, ...] for the items of the split [V, ...]."""
        taken = values[self.rows.clamp(min=0)]
        taken[self.rows < 0] = values[self.rare].mean(0)
        return taken


def carry_over(
    checkpoint: Checkpoint, module: RecommendModule, data: SplitData
) -> dict[str, Tensor]:
    """Return the weights for a newly built module."""
    before = load_network(checkpoint.path, device="cpu").model
    items = MatchedItems.of(checkpoint.assets, data)
    weights: dict[str, Tensor] = module.model.state_dict()
    weights |= {
        name: tensor
        for name, tensor in before.state_dict().items()
        if not name.startswith(OF_THE_DATA)
    }
    with torch.no_grad():
        weights["items.weight"] = _input_rows(before, module.model, items)
        weights["item_bias"] = items.take(before.item_bias)
        if before.output is not None:
            weights["output.weight"] = items.take(before.output.weight)
    return {f"{PREFIX}{name}": tensor for name, tensor in weights.items()}


def _input_rows(
    before: SequenceModel[Any], model: SequenceModel[Any], items: MatchedItems
) -> Tensor:  # [V + 2, D]
    """With side tables, what they add now is taken off, so that the whole vector is as before."""
    padding, mask = before.items.weight[:1], before.items.weight[-1:]
    sides = model.item_vectors() - model.items.weight[1:-1]
    return torch.cat([padding, items.take(before.item_vectors()) - sides, mask])


def _text(ids: pa.Array) -> pa.Array:
    return ids.cast(pa.string())
