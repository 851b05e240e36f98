"""Recommendations for sequences, shared by `predict` and `Recommender`.

Shapes: U users, N their interactions, K length of a list, V items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from .batches import sequence_batches, users_at_once
from .data import Int32, Int64
from .ensemble import Scorer
from .topk import TopK, most_popular, top_k

Bools = npt.NDArray[np.bool_]


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


def recommend(
    loaded: Scorer, train_counts: Int64, sequences: Sequences, wanted: ListRequest
) -> Recommendations:
    """Return the model's best items after each history, or popular items after an empty one."""
    lengths = np.diff(sequences.offsets)
    is_cold = lengths == 0
    shape = (len(lengths), min(wanted.top_k, loaded.num_items))
    items, scores = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    popular = most_popular(train_counts, shape[1], allowed=wanted.allowed)
    items[is_cold, : len(popular)] = popular
    scores[is_cold, : len(popular)] = train_counts[popular]
    # empty histories have no items, so dropping their offsets keeps the others
    offsets = np.append(sequences.offsets[:-1][~is_cold], sequences.offsets[-1])
    warm = np.flatnonzero(~is_cold)
    for users, lists in _by_model(loaded, Sequences(sequences.items, offsets), wanted):
        items[warm[users]] = lists.items.cpu().numpy()
        scores[warm[users]] = lists.scores.cpu().numpy()
    return Recommendations(items, scores, is_cold)


def _by_model(
    loaded: Scorer, sequences: Sequences, wanted: ListRequest
) -> Iterator[tuple[Int64, TopK]]:
    """Yield the positions of the users of a batch, and their lists."""
    allowed = None
    if wanted.allowed is not None:
        allowed = torch.from_numpy(wanted.allowed).to(loaded.device)
    size = users_at_once(wanted.batch_size, num_items=loaded.num_items)
    mask, max_len = loaded.first.model.mask_token, loaded.max_len
    for batch in sequence_batches(*sequences, mask_token=mask, max_len=max_len, batch_size=size):
        seen = (batch.seen_rows.to(loaded.device), batch.seen_items.to(loaded.device))
        exclude = seen if wanted.exclude_seen else None
        scores = loaded.scores(batch.inputs)
        yield batch.users.numpy(), top_k(scores, wanted.top_k, exclude=exclude, allowed=allowed)
