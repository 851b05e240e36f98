"""From scores to lists: the best K of every user, without what may not be recommended.

Shapes: B batch (users), V items, K length of a list, S pairs of user and excluded item.
Column j of scores is item j + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .data import Int64
from .metrics import refuse_nan


class Lists(NamedTuple):
    """Recommendations, best first. A list that is shorter than K ends in item 0."""

    items: Tensor  # int64 [B, K], items 1..V
    scores: Tensor  # [B, K]


def top_k(
    scores: Tensor,  # fp32 or int64 [B, V]; excluded ones are overwritten
    k: int,
    *,
    exclude: tuple[Tensor, Tensor] | None = None,  # rows and items, int64 [S] each
    allowed: Tensor | None = None,  # bool [V]
) -> Lists:
    """The best K of each row; excluded items never appear, however few are left."""
    refuse_nan(scores)
    nothing = -torch.inf if scores.is_floating_point() else torch.iinfo(scores.dtype).min
    if exclude is not None:
        scores[exclude[0], exclude[1] - 1] = nothing
    if allowed is not None:
        scores.masked_fill_(~allowed, nothing)
    best = scores.topk(min(k, scores.shape[1]), dim=1)  # [B, K]
    return Lists((best.indices + 1) * (best.values > nothing), best.values)


def most_popular(counts: Int64, k: int, *, allowed: npt.NDArray[np.bool_] | None = None) -> Int64:
    """The K items that occur most often in the training part, equals in order of their number.

    `counts` [V + 1] by item; `allowed` bool [V].
    """
    order = np.argsort(-counts[1:], kind="stable") + 1
    return (order if allowed is None else order[allowed[order - 1]])[:k]
