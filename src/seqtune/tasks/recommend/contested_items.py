"""Find the items that members disagree about, which are all that a pool keeps.

Under any non-negative weights, an item that scores at least as high as the target in all members
ranks before it, and one that scores lower in all ranks after it. Only the other items are disputed.
Of these, the ones among the best unseen items of some member are kept.

A batch holds the scores of all M members at once, so it has 1 / M of the users of an evaluation
batch and takes the same memory.

Shapes: B batch (users), V items, M members, E disputed items, K candidates of a member.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtune.batching import EvalOrder

from .batches import EvalBatch, EvalBatches
from .data import Int64
from .ensemble import member_scores
from .loading import LoadedModel
from .metrics import count_true, outranking
from .score_normalization import ROWS, SCALES, on_scale
from .topk import top_k

Floats = npt.NDArray[np.float64]
Seen = tuple[Tensor, Tensor] | None
ByScale = dict[str, Floats]


class ContestedItems(NamedTuple):
    """The disputed items of some users."""

    rows: Int64  # [B], which users of the pool
    sure: Int64  # [B], items before the target in every member, at most the depth
    users: Int64  # [E], which user of the pool
    disputed: ByScale  # [M, E], scores of the items that are kept
    targets: ByScale  # [M, B], scores of the targets
    left_out: Int64  # [B], disputed items that are not kept
    bounds: ByScale  # [M, B], upper bounds of the scores of items that are not kept


@dataclass(frozen=True)
class ContestSettings:
    """Which items to keep."""

    candidates: int
    exclude_seen: bool
    depth: int
    """Ranks from here on contribute 0, so users with this many sure items are settled."""


def find_contested_items(
    models: Sequence[LoadedModel], valid: EvalBatches, rows: Int64, settings: ContestSettings
) -> Iterator[ContestedItems]:
    """Yield the disputed items batch by batch; `rows` [U] of `valid` are the users of the pool."""
    most = min(model.config.evaluation.batch_size for model in models) // len(models)
    order = EvalOrder(valid.histories.lengths[rows], batch_size=max(1, min(most, ROWS)))
    for chosen in order.batches():
        batch = valid[rows[chosen]].to(models[0].device)
        yield _of_batch(models, batch, chosen, settings)


def _of_batch(
    models: Sequence[LoadedModel], batch: EvalBatch, chosen: Int64, settings: ContestSettings
) -> ContestedItems:
    scores = [member_scores(model, batch.inputs) for model in models]  # M of [B, V]
    seen = (batch.seen_rows, batch.seen_items) if settings.exclude_seen else None
    before = [outranking(own, batch.targets, seen=seen) for own in scores]
    everywhere, anywhere = before[0].clone(), before[0]
    for own in before[1:]:
        everywhere &= own
        anywhere |= own
    sure = count_true(everywhere).clamp(max=settings.depth)
    disputed_items = anywhere & ~everywhere  # bool [B, V]
    disputed_items &= (sure < settings.depth)[:, None]
    listed, last = _candidates(scores, seen, settings.candidates)
    kept = disputed_items & listed
    users, columns = kept.nonzero(as_tuple=True)  # [E] each
    targets = (torch.arange(len(chosen), device=users.device), batch.targets - 1)
    disputed, at_target, bounds = _gather(scores, (users, columns), targets, last)
    return ContestedItems(
        rows=chosen,
        sure=sure.cpu().numpy(),
        users=chosen[users.cpu().numpy()],
        disputed=disputed,
        targets=at_target,
        left_out=count_true(disputed_items & ~listed).cpu().numpy(),
        bounds=bounds,
    )


def _candidates(scores: Sequence[Tensor], seen: Seen, count: int) -> tuple[Tensor, Tensor]:
    """Return the items [B, V] among the best unseen of some member, and the last of each member's
    [M, B]: item 0 if there are no further unseen items."""
    rows, items = scores[0].shape
    listed = torch.zeros((rows, items + 1), dtype=torch.bool, device=scores[0].device)
    last = []
    for own in scores:
        best = top_k(own.clone(), count, exclude=seen).items  # [B, K]
        listed.scatter_(1, best, value=True)
        last.append(best[:, -1])
    return listed[:, 1:], torch.stack(last)


def _gather(
    scores: Sequence[Tensor],
    disputed: tuple[Tensor, Tensor],
    targets: tuple[Tensor, Tensor],
    last: Tensor,
) -> tuple[ByScale, ByScale, ByScale]:
    """Gather scores of disputed items, targets and bounds on every scale, by member."""
    found: tuple[ByScale, ByScale, ByScale] = ({}, {}, {})
    for scale in SCALES:
        values: tuple[list[Tensor], ...] = ([], [], [])
        for own, end in zip(scores, last, strict=True):
            scaled = on_scale(own, scale)  # [B, V]
            bound = scaled.gather(1, (end - 1).clamp(min=0)[:, None]).squeeze(1)
            values[0].append(scaled[disputed])
            values[1].append(scaled[targets])
            values[2].append(bound.masked_fill(end == 0, -torch.inf))
        for where, tensors in zip(found, values, strict=True):
            where[scale] = torch.stack(tensors).double().cpu().numpy()
    return found
