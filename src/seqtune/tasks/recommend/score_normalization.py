"""Common scales for the scores of models that count in different units.

log_softmax   the logarithm of the share of probability that an item gets among all items
ranks         minus the place of an item among all items, the best at 0; items with equal scores
              share the mean of the places they take

Both keep the order of a model's items, and larger is better. Computed in fp64: in fp32 the
subtraction would make ties, which count against the model.

Shapes: B batch (users), V items. Column j is item j + 1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .metrics import refuse_nan

LOG_SOFTMAX = "log_softmax"
RANKS = "ranks"
SCALES = (LOG_SOFTMAX, RANKS)
"""The plainest first."""

GRID = 2.0**30
"""Mean places are told apart down to one part of this; a power of 2, so that scaling is exact."""
ROWS = 32
"""Users that are brought to a scale at a time, so that what is in between takes no room."""


def on_scale(scores: Tensor, scale: str) -> Tensor:
    """Scores [B, V] of one model on a scale, fp64 [B, V]."""
    refuse_nan(scores)
    if scale == LOG_SOFTMAX:
        return torch.log_softmax(scores.to(exact_type(scores.device)), dim=1)
    if scale == RANKS:
        return -places(scores)
    raise ValueError(f"no scale is called {scale!r}; there are {', '.join(SCALES)}")


def places(scores: Tensor) -> Tensor:
    """Place of each item among all [B, V], from 0; equals share the mean of their places."""
    order = _best_first(scores)
    ordered = scores.gather(1, order)
    begins = torch.ones_like(ordered, dtype=torch.bool)  # where a run of equals begins
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    starts = begins.flatten().nonzero().squeeze(1)  # [R], R runs of the batch
    lengths = starts.diff(append=starts.new_tensor([scores.numel()]))
    middles = starts % scores.shape[1] + (lengths - 1).to(exact_type(scores.device)) / 2
    ordered_places = middles.repeat_interleave(lengths).view_as(scores)
    return torch.empty_like(ordered_places).scatter_(1, order, ordered_places)


def _best_first(scores: Tensor) -> Tensor:  # int64 [B, V]
    if scores.device.type == "cpu":  # six times as fast as torch's sort
        return torch.from_numpy(np.argsort(-scores.numpy(), axis=1))
    return scores.argsort(dim=1, descending=True)


def add_on_scale(total: Tensor, scores: Tensor, scale: str, *, share: float) -> None:
    """`total` [B, V] grows by a model's share of scores; a few users at a time."""
    for start in range(0, len(scores), ROWS):
        rows = slice(start, start + ROWS)
        total[rows] += share * on_scale(scores[rows], scale)


def settle_ties(total: Tensor, scale: str) -> Tensor:
    """Sums that are equal but for the order of adding up are made equal, in place.

    Mean places tie often, and a tie counts against the model.
    """
    return total.mul_(GRID).round_().div_(GRID) if scale == RANKS else total


def exact_type(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no fp64
