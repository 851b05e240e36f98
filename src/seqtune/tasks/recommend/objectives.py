"""Training objectives: inputs and targets of a batch of sequences, vectorised.

Causal: predict each item after the first from those before it. No random draws.

Cloze masks a sequence in one of two ways, so that each non-empty sequence has a target:
- Each item is chosen with `mask_prob`; of these, a share of `replaced.mask` become [MASK], a share
  of `replaced.random` a random item, and the rest are unchanged.
- With probability `last_item_ratio`, or if no item was chosen, only the last item is masked, as in
  prediction.

Shapes: B batch, T time, M target positions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Replacement(NamedTuple):
    """Shares of the chosen items."""

    mask: float
    random: float


class TrainingTargets(NamedTuple):
    inputs: Tensor  # [B, T], as items
    positions: Tensor  # int64 [M], ascending, into inputs.flatten()
    targets: Tensor  # int64 [M], the items at these positions


def next_items(items: Tensor) -> TrainingTargets:
    """Predict the item after each one; `items` [B, T] are padded on the left."""
    inputs = items[:, :-1].contiguous()
    positions = inputs.flatten().nonzero().squeeze(1)
    return TrainingTargets(inputs, positions, items[:, 1:].flatten()[positions].long())


def masked_items(
    items: Tensor,  # [B, T], padded on the left
    *,
    num_items: int,
    mask_prob: float,
    last_item_ratio: float,
    replaced: Replacement,
    generator: torch.Generator,
) -> TrainingTargets:
    """Choose positions and mask them; every draw comes from `generator`."""
    draws = torch.rand(items.shape, generator=generator, device=items.device)  # [B, T]
    chosen = (draws < mask_prob) & (items > 0)
    last_only = torch.rand(len(items), generator=generator, device=items.device) < last_item_ratio
    last_only |= ~chosen.any(dim=1)  # [B]
    chosen &= ~last_only[:, None]
    chosen[:, -1] |= last_only & (items[:, -1] > 0)

    positions = chosen.flatten().nonzero().squeeze(1)
    targets = items.flatten()[positions]
    hidden = _replacements(targets, replaced, num_items=num_items, generator=generator)
    always = last_only[positions // items.shape[1]]  # [M]
    inputs = items.flatten().clone()
    inputs[positions] = torch.where(always, num_items + 1, hidden)
    return TrainingTargets(inputs.view_as(items), positions, targets.long())


def _replacements(
    targets: Tensor, replaced: Replacement, *, num_items: int, generator: torch.Generator
) -> Tensor:
    """Return the input in place of each target [M]."""
    draws = torch.rand(targets.shape, generator=generator, device=targets.device)
    random_items = torch.empty_like(targets).random_(1, num_items + 1, generator=generator)
    kept = torch.where(draws < replaced.mask + replaced.random, random_items, targets)
    return torch.where(draws < replaced.mask, num_items + 1, kept)
