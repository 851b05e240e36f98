"""Recommendations for sequences, shared by `predict` and `Recommender`.

Shapes: U users, N their interactions, B batch, K length of a list, V items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .batches import Spans, sequence_batches, users_at_once
from .data import Int32, Int64
from .ensemble import Scorer
from .rules import Candidates, Selection, select
from .topk import by_popularity, top_k

Bools = npt.NDArray[np.bool_]
WIDER = 10
"""Times as many candidates for a user whose list would be short."""


class Sequences(NamedTuple):
    """Whole histories in item numbers, one after another."""

    items: Int32  # [N]
    offsets: Int64  # [U + 1]


class Recommendations(NamedTuple):
    """Lists of U users, best first; lists shorter than K are padded with item 0."""

    items: Int64  # [U, K]
    scores: npt.NDArray[np.float32]  # [U, K]; a popular item's is its training count
    is_popular: Bools  # [U], True for users without history


@dataclass(frozen=True)
class ListRequest:
    """What to put in a list."""

    top_k: int
    exclude_seen: bool = True
    batch_size: int = 512  # users; fewer if the catalogue is large
    allowed: Bools | None = None  # [V], False for items never to recommend
    denied: Sequences | None = None  # of each of the U users, beside the history
    only: Sequences | None = None  # of each; 0 is unknown; a user without any is not restricted
    selection: Selection | None = None  # None: the best by score

    @property
    def depth(self) -> int:
        """The number of candidates for a list."""
        return (
            self.top_k if self.selection is None else max(self.top_k, self.selection.num_candidates)
        )

    def own_rules(self, users: Int64) -> Bools:
        """Mark the users [B] with items denied or allowed for them alone."""
        each = [np.diff(one.offsets)[users] > 0 for one in (self.denied, self.only) if one]
        return np.asarray(np.logical_or.reduce([np.zeros(len(users), bool), *each]))


def recommend(
    loaded: Scorer, train_counts: Int64, sequences: Sequences, wanted: ListRequest
) -> Recommendations:
    """Return the model's best items after each history, or popular items after an empty one."""
    lengths = np.diff(sequences.offsets)
    is_cold = lengths == 0
    shape = (len(lengths), min(wanted.top_k, loaded.num_items))
    items, scores = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    for users, lists in _by_popularity(loaded, train_counts, np.flatnonzero(is_cold), wanted):
        items[users], scores[users] = lists, train_counts[lists] * (lists > 0)
    # empty histories have no items, so dropping their offsets keeps the others
    offsets = np.append(sequences.offsets[:-1][~is_cold], sequences.offsets[-1])
    warm = np.flatnonzero(~is_cold)
    for users, found in _by_model(loaded, Sequences(sequences.items, offsets), warm, wanted):
        items[users], scores[users] = found.items, found.scores
    return Recommendations(items, scores, is_cold)


def best_lists(
    scores: Tensor,  # [B, V]; overwritten
    wanted: ListRequest,
    users: Int64,  # [B], their numbers in `wanted.denied` and `wanted.only`
    *,
    seen: tuple[Tensor, Tensor] | None = None,
) -> Candidates:
    """Return the lists of a batch under all rules."""
    excluded = [pair for pair in (seen, _pairs(wanted.denied, users, scores)) if pair]
    rows, items = ([pair[side] for pair in excluded] for side in (0, 1))
    exclude = (torch.cat(rows), torch.cat(items)) if excluded else None
    _restrict(scores, _pairs(wanted.only, users, scores))
    allowed = None
    if wanted.allowed is not None:
        allowed = torch.from_numpy(wanted.allowed).to(scores.device)
    found = _candidates(scores, wanted.depth, exclude=exclude, allowed=allowed)
    if wanted.selection is None:
        return found
    length = min(wanted.top_k, scores.shape[1])
    lists = select(found, length, wanted.selection)
    short = np.flatnonzero((lists.items == 0).any(axis=1) & (found.items[:, -1] > 0))
    if len(short):
        wider = _candidates(scores[torch.from_numpy(short)], WIDER * wanted.depth)
        lists.items[short], lists.scores[short] = select(wider, length, wanted.selection)
    return lists


def _candidates(scores: Tensor, k: int, **rules: Any) -> Candidates:
    found = top_k(scores, k, **rules)
    return Candidates(found.items.cpu().numpy(), found.scores.cpu().numpy())


def _pairs(own: Sequences | None, users: Int64, scores: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the row of the batch and the item of everything that some users have of their own."""
    if own is None:
        return None
    rows, items = Spans(own.items, own.offsets[:-1], own.offsets[1:]).flat(users)
    found = torch.from_numpy(rows), torch.from_numpy(items.astype(np.int64))
    return found[0].to(scores.device), found[1].to(scores.device)


def _restrict(scores: Tensor, only: tuple[Tensor, Tensor] | None) -> None:
    """Leave users with items of their own no others."""
    if only is None or not len(only[0]):
        return
    rows, within = torch.unique(only[0], return_inverse=True)
    shape = (len(rows), scores.shape[1] + 1)
    is_other = torch.ones(shape, dtype=torch.bool, device=scores.device)
    is_other[within, only[1]] = False
    scores[rows] = scores[rows].masked_fill(is_other[:, 1:], -torch.inf)


def _by_popularity(
    loaded: Scorer, train_counts: Int64, users: Int64, wanted: ListRequest
) -> Iterator[tuple[Int64, Int64]]:
    """Yield users without history and their lists; those without rules of their own share one."""
    order = by_popularity(train_counts)
    places = torch.empty(loaded.num_items, dtype=torch.float64)
    places[torch.from_numpy(order) - 1] = torch.arange(loaded.num_items, 0, -1).double()
    has_own = wanted.own_rules(users)
    if not has_own.all():
        common = replace(wanted, denied=None, only=None)
        shared = best_lists(places[None].clone(), common, np.zeros(1, np.int64))
        yield users[~has_own], shared.items
    size = users_at_once(wanted.batch_size, num_items=loaded.num_items)
    own = users[has_own]
    for start in range(0, len(own), size):
        batch = own[start : start + size]
        yield batch, best_lists(places.repeat(len(batch), 1), wanted, batch).items


def _by_model(
    loaded: Scorer, sequences: Sequences, users: Int64, wanted: ListRequest
) -> Iterator[tuple[Int64, Candidates]]:
    """Yield the users of a batch, numbered as `users` says, and their lists."""
    size = users_at_once(wanted.batch_size, num_items=loaded.num_items)
    mask, max_len = loaded.first.model.mask_token, loaded.max_len
    for batch in sequence_batches(*sequences, mask_token=mask, max_len=max_len, batch_size=size):
        seen = (batch.seen_rows.to(loaded.device), batch.seen_items.to(loaded.device))
        numbers = users[batch.users.numpy()]
        scores = loaded.scores(batch.inputs)
        yield (
            numbers,
            best_lists(scores, wanted, numbers, seen=seen if wanted.exclude_seen else None),
        )
