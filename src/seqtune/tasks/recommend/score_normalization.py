"""Common scales for the scores of models with different units.

log_softmax   log-probability of an item among all items
ranks         minus the rank of an item among all items, the best 0; ties share their mean rank

Both keep the order of a model's items; larger is better. Computed in fp64: in fp32 the subtraction
would create ties, which count against the model.

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

GRID = 2.0**30
"""Resolution of mean ranks is 1 / GRID; a power of 2, so that scaling is exact."""
ROWS = 32
"""Users scaled at a time, to bound the memory of intermediates."""


def on_scale(scores: Tensor, scale: str) -> Tensor:
    """Return the scores [B, V] of one model on a scale, fp64 [B, V]."""
    refuse_nan(scores)
    if scale == LOG_SOFTMAX:
        return torch.log_softmax(scores.to(exact_type(scores.device)), dim=1)
    if scale == RANKS:
        return -places(scores)
    raise ValueError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")


def places(scores: Tensor) -> Tensor:
    """Return the rank of each item among all [B, V], from 0; ties share their mean rank."""
    if scores.device.type == "cpu":  # six times as fast as torch's sort
        order = torch.from_numpy(np.argsort(-scores.numpy(), axis=1))
    else:
        order = scores.argsort(dim=1, descending=True)
    ordered = scores.gather(1, order)
    begins = torch.ones_like(ordered, dtype=torch.bool)  # where a run of equals begins
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    starts = begins.flatten().nonzero().squeeze(1)  # [R], R runs of the batch
    lengths = starts.diff(append=starts.new_tensor([scores.numel()]))
    middles = starts % scores.shape[1] + (lengths - 1).to(exact_type(scores.device)) / 2
    ordered_places = middles.repeat_interleave(lengths).view_as(scores)
    return torch.empty_like(ordered_places).scatter_(1, order, ordered_places)


def add_on_scale(total: Tensor, scores: Tensor, scale: str, *, share: float) -> None:
    """Add `share` times a model's scaled scores to `total` [B, V], a few users at a time."""
    for start in range(0, len(scores), ROWS):
        rows = slice(start, start + ROWS)
        total[rows] += share * on_scale(scores[rows], scale)


def settle_ties(total: Tensor, scale: str) -> Tensor:
    """Round sums of mean ranks in place, so that ties do not depend on the order of addition."""
    return total.mul_(GRID).round_().div_(GRID) if scale == RANKS else total


def exact_type(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no fp64
