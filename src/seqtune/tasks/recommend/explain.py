"""Explain recommendations by nearest items, attention, and leaving out items of the history.

Attention shows where the predicting position ([MASK], or the last item of a causal model) took its
input from. It is no explanation: later layers mix what earlier ones have moved, and other weights
could give the same list. The effect of an item shows when it is removed, so `explain` does that for
every item and returns both. Even that is the effect of single items: of two redundant items,
neither seems to matter.

Shapes: N items of the history that the model saw, T = N + 1 with [MASK], L layers, H heads,
K recommended items, V items, D hidden, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from .batches import EvalBatch, sequence_batches
from .data import Int32, Int64
from .loading import LoadedNetwork

ItemId = int | str
Floats = npt.NDArray[np.float32]
BATCH_SIZE = 32


@dataclass(frozen=True)
class Neighbour:
    """An item near another one."""

    item: ItemId
    similarity: float
    """Cosine, from -1 to 1."""
    count: int
    """How often it occurred in training; the vector of an item that never did comes from chance or
    its side values alone."""


@dataclass(frozen=True)
class Nearest:
    """The items nearest to one, nearest first."""

    item: ItemId
    count: int
    neighbours: tuple[Neighbour, ...]
    model: str
    """The model whose item vectors were used: of an ensemble the network with the largest share."""


@dataclass(frozen=True)
class LeaveOneOut:
    """The result for a recommended item without one item of the history."""

    item: ItemId
    """The removed item."""
    score: float
    rank: int
    effect: float
    """Log-probability with the item minus without it: above 0 it supports the recommended item,
    0.7 means twice as likely. (Scores are only defined up to a constant.)"""


@dataclass(frozen=True)
class Reason:
    """One recommended item and the effect of each item of the history."""

    item: ItemId
    score: float
    rank: int
    """Rank among all items that are not in the history, from 1."""
    without: tuple[LeaveOneOut, ...]
    """One entry per item of `Explanation.history`, in that order."""


@dataclass(frozen=True)
class Explanation:
    """Why a list has these items: `attention` describes, `reasons` test."""

    model: str
    """The explained model: of an ensemble the network with the largest share. The list is then the
    ensemble's; scores, ranks and attention are this member's."""
    history: tuple[ItemId, ...]
    """What the model saw, oldest first: known items, at most as many as max_len allows. Empty for
    a user who got popular items: there is nothing to explain."""
    attention: tuple[tuple[tuple[float, ...], ...], ...]
    """From the predicting position to each item of `history`, by layer and head. Empty if the
    architecture has no attention."""
    own_attention: tuple[tuple[float, ...], ...]
    """From [MASK] to itself, by layer and head; adds up to 1 with `attention`. 0 if causal."""
    reasons: tuple[Reason, ...]
    """One entry per recommended item, in the order of the list."""

    @property
    def mean_attention(self) -> tuple[float, ...]:
        """Mean over layers and heads for each item of `history`."""
        if not self.attention:
            return ()
        return tuple(np.asarray(self.attention).mean(axis=(0, 1)).tolist())


class LeaveOneOutScores(NamedTuple):
    """Results for K items after a history; row 0 with all of it, row 1 + n without its nth item."""

    scores: Floats  # [1 + N, K]
    log_probabilities: Floats  # [1 + N, K]
    ranks: Int64  # [1 + N, K]


def unit_vectors(loaded: LoadedNetwork) -> Floats:
    """Return the item vectors, each of length 1, and zeros for item 0 [V + 1, D]."""
    with torch.no_grad():
        vectors = functional.normalize(loaded.model.item_vectors().float(), dim=1)
    return functional.pad(vectors, (0, 0, 1, 0)).cpu().numpy()


def nearest_items(loaded: LoadedNetwork, item: int, k: int) -> tuple[Int64, Floats]:
    """Return the k items nearest to item 1..V, without itself, and their cosine similarity."""
    with torch.no_grad():
        vectors = functional.normalize(loaded.model.item_vectors().float(), dim=1)  # [V, D]
        similarities = vectors @ vectors[item - 1]
        similarities[item - 1] = -torch.inf
        best = similarities.topk(min(k, loaded.model.num_items - 1))
    return (best.indices + 1).cpu().numpy(), best.values.cpu().numpy()


def mask_attention(loaded: LoadedNetwork, history: Int32) -> Floats | None:
    """Return the attention of the prediction after a history: [L, H, T], the last column being
    [MASK]; None for an architecture without attention."""
    (batch,) = _batches(loaded, history, np.array([0, len(history)]))
    with loaded.autocast():
        weights = loaded.model.attention(batch.inputs.to(loaded.device))
    return None if weights is None else weights.cpu().numpy()


def leave_one_out(loaded: LoadedNetwork, history: Int32, targets: Int64) -> LeaveOneOutScores:
    """Score targets [K] after a history, and after the same without each item the model sees.

    If the history is longer than the model sees, an older item moves up for the removed one.
    """
    num_seen = len(seen_part(loaded, history))
    shorter = [np.delete(history, len(history) - num_seen + n) for n in range(num_seen)]
    offsets = np.cumsum([0, len(history), *map(len, shorter)])
    is_rival = torch.ones(loaded.model.num_items, dtype=torch.bool)
    is_rival[torch.from_numpy(history.astype(np.int64)) - 1] = False
    columns = torch.from_numpy(targets) - 1  # [K]
    shape = (1 + num_seen, len(targets))
    found = LeaveOneOutScores(
        np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    )
    for batch in _batches(loaded, np.concatenate([history, *shorter]), offsets):
        scores = loaded.scores(batch.inputs).cpu()  # [B, V]
        chosen = scores[:, columns]  # [B, K]
        rivals = scores[:, is_rival]
        rows = batch.users.numpy()
        found.scores[rows] = chosen
        found.log_probabilities[rows] = chosen - scores.logsumexp(1, keepdim=True)
        for place, column in enumerate(chosen.unbind(1)):
            found.ranks[rows, place] = 1 + (rivals > column[:, None]).sum(1)
    return found


def seen_part(loaded: LoadedNetwork, history: Int32) -> Int32:
    """Return the part of a history that the model sees: its end."""
    return history[-(loaded.max_len - 1) :]


def explain(
    loaded: LoadedNetwork,
    history: Int32,
    targets: Int64,
    *,
    ids: Sequence[ItemId],
    model: str,
) -> Explanation:
    """Return both views of one list in raw ids; `ids` are those of items 1..V."""
    if not len(history):
        return Explanation(model, (), (), (), ())
    names = tuple(ids[number - 1] for number in seen_part(loaded, history))
    attention = mask_attention(loaded, history)
    measured = leave_one_out(loaded, history, targets)
    return Explanation(
        model=model,
        history=names,
        attention=() if attention is None else _nested(attention[:, :, :-1]),
        own_attention=() if attention is None else _nested(attention[:, :, -1]),
        reasons=tuple(
            _reason(ids[number - 1], place, measured, names) for place, number in enumerate(targets)
        ),
    )


def _reason(
    item: ItemId, place: int, measured: LeaveOneOutScores, names: tuple[ItemId, ...]
) -> Reason:
    scores, logs, ranks = (column[:, place].tolist() for column in measured)
    rows = enumerate(names, start=1)
    without = (LeaveOneOut(name, scores[n], ranks[n], effect=logs[0] - logs[n]) for n, name in rows)
    return Reason(item, scores[0], ranks[0], tuple(without))


def _batches(loaded: LoadedNetwork, items: Int32, offsets: Int64) -> Iterator[EvalBatch]:
    mask, max_len = loaded.model.mask_token, loaded.max_len
    return sequence_batches(items, offsets, mask_token=mask, max_len=max_len, batch_size=BATCH_SIZE)


def _nested(array: Floats) -> Any:
    """Convert an array to nested tuples."""
    return tuple(map(_nested, array)) if array.ndim else array.item()
