"""The best K items of each user, without the excluded ones.

Shapes: B batch (users), V items, K length of a list, S pairs of user and excluded item, G groups
of neighbouring items.
Column j of scores is item j + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .data import Int64
from .metrics import refuse_nan

_GROUP = 64
"""Items of a group: large enough that there are few maxima, small enough that members are few."""


class TopK(NamedTuple):
    """Recommendations, best first; lists shorter than K are padded with item 0."""

    items: Tensor  # int64 [B, K], items 1..V
    scores: Tensor  # [B, K]


def top_k(
    scores: Tensor,  # fp32 or int64 [B, V]; excluded items are overwritten
    k: int,
    *,
    exclude: tuple[Tensor, Tensor] | None = None,  # rows and items, int64 [S] each
    allowed: Tensor | None = None,  # bool [V]
) -> TopK:
    """Return the best K of each row; excluded items never appear, however few are left."""
    nothing = -torch.inf if scores.is_floating_point() else torch.iinfo(scores.dtype).min
    if exclude is not None:
        scores[exclude[0], exclude[1] - 1] = nothing
    if allowed is not None:
        scores.masked_fill_(~allowed, nothing)
    values, columns = _best(scores, min(k, scores.shape[1]))  # [B, K]
    refuse_nan(values)  # NaN counts as the largest in torch's topk
    return TopK((columns + 1) * (values > nothing), values)


def _best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return values and columns [B, K] of the best of each row, in order.

    On the CPU torch's topk moves every score. The best K lie in the K groups with the highest
    maxima or in the rest after the last group, so only those are searched.
    """
    num_groups = scores.shape[1] // _GROUP
    if scores.device.type != "cpu" or num_groups < 4 * k:
        return scores.topk(k, dim=1)
    grouped = num_groups * _GROUP
    maxima = scores[:, :grouped].view(-1, num_groups, _GROUP).amax(2)  # [B, G]
    groups = maxima.topk(k, dim=1).indices
    columns = (groups[:, :, None] * _GROUP + torch.arange(_GROUP)).flatten(1)
    rest = torch.arange(grouped, scores.shape[1]).expand(len(scores), -1)
    columns = torch.cat([columns, rest], dim=1)
    best = scores.gather(1, columns).topk(k, dim=1)
    return best.values, columns.gather(1, best.indices)


def by_popularity(counts: Int64) -> Int64:
    """Return all items by their counts [V + 1] in the training part, the most frequent first and
    ties in order of item number."""
    return np.argsort(-counts[1:], kind="stable") + 1
