"""Why these items: near items, where the model looked, and what happens without an item.

Attention says where the position that answers ([MASK], or the last item in a causal model) took
its input from. It is not an explanation: later layers mix what earlier ones have moved, and other
weights could have given the same list. What an item of the history has caused is seen by taking it
away, so `explain` does that for every item and gives both. Even that is the effect of one item
alone: of two that say the same, neither seems to matter.

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
from .loading import LoadedModel

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
    """How often it occurred in training; the place of an item that never did is chance, or its
    side values alone."""


@dataclass(frozen=True)
class Nearest:
    """The items nearest to one, nearest first."""

    item: ItemId
    count: int
    neighbours: tuple[Neighbour, ...]
    model: str
    """Whose item vectors these are: of an ensemble, those of the member that counts most."""


@dataclass(frozen=True)
class LeaveOneOut:
    """A recommended item, had one item of the history never been there."""

    item: ItemId
    """The item that is taken away."""
    score: float
    rank: int
    effect: float
    """Log-probability with it, less without it: above 0 it speaks for the recommended item, and
    0.7 means twice as likely. (Scores themselves mean nothing up to a constant.)"""


@dataclass(frozen=True)
class Reason:
    """One recommended item, and what it owes to each item of the history."""

    item: ItemId
    score: float
    rank: int
    """Among all items that are not in the history, from 1."""
    without: tuple[LeaveOneOut, ...]
    """One for each of `Explanation.history`, in that order."""


@dataclass(frozen=True)
class Explanation:
    """Why a list is what it is. Attention describes, `reasons` test."""

    model: str
    """Which model was looked at: of an ensemble the member that counts most. The list is then the
    ensemble's; scores, ranks and attention are this member's."""
    history: tuple[ItemId, ...]
    """What it saw, oldest first: known items only, and no more of them than its max_len allows.
    Empty for a user who got popular items: then there is nothing to explain."""
    attention: tuple[tuple[tuple[float, ...], ...], ...]
    """From the position that answers to each item of `history`, by layer and head. Empty where the
    architecture has none: `reasons` are there all the same."""
    own_attention: tuple[tuple[float, ...], ...]
    """From [MASK] to itself, by layer and head; with `attention` it adds up to 1. Zero in a causal
    model."""
    reasons: tuple[Reason, ...]
    """One for each recommended item, in the order of the list."""

    @property
    def mean_attention(self) -> tuple[float, ...]:
        """Of all layers and heads, for each item of `history`."""
        if not self.attention:
            return ()
        return tuple(np.asarray(self.attention).mean(axis=(0, 1)).tolist())


class LeaveOneOutScores(NamedTuple):
    """K items after a history; row 0 with all of it, row 1 + n without its nth item."""

    scores: Floats  # [1 + N, K]
    log_probabilities: Floats  # [1 + N, K]
    ranks: Int64  # [1 + N, K]


def nearest_items(loaded: LoadedModel, item: int, k: int) -> tuple[Int64, Floats]:
    """The k items nearest to item 1..V, itself left out, and their cosine similarity."""
    with torch.no_grad():
        vectors = functional.normalize(loaded.model.item_vectors().float(), dim=1)  # [V, D]
        similarities = vectors @ vectors[item - 1]
        similarities[item - 1] = -torch.inf
        best = similarities.topk(min(k, loaded.num_items - 1))
    return (best.indices + 1).cpu().numpy(), best.values.cpu().numpy()


def mask_attention(loaded: LoadedModel, history: Int32) -> Floats | None:
    """Where the answer to a history looks: [L, H, T], the last column being [MASK] itself; None of
    an architecture without attention."""
    (batch,) = _batches(loaded, history, np.array([0, len(history)]))
    with loaded.autocast():
        weights = loaded.model.attention(batch.inputs.to(loaded.device))
    return None if weights is None else weights.cpu().numpy()


def leave_one_out(loaded: LoadedModel, history: Int32, targets: Int64) -> LeaveOneOutScores:
    """Targets [K] after a history, and after the same without each item that the model sees.

    Where the history is longer than what the model sees, an older item moves up for the one that
    is taken away, as it would have if that had never happened.
    """
    num_seen = len(seen_part(loaded, history))
    shorter = [np.delete(history, len(history) - num_seen + n) for n in range(num_seen)]
    offsets = np.cumsum([0, len(history), *map(len, shorter)])
    is_rival = torch.ones(loaded.num_items, dtype=torch.bool)
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
        better = [(rivals > column[:, None]).sum(1) for column in chosen.unbind(1)]
        rows = batch.users.numpy()
        found.scores[rows] = chosen
        found.log_probabilities[rows] = chosen - scores.logsumexp(1, keepdim=True)
        found.ranks[rows] = 1 + torch.stack(better, dim=1)
    return found


def seen_part(loaded: LoadedModel, history: Int32) -> Int32:
    """What the model sees of a history: its end."""
    return history[-(loaded.config.model.max_len - 1) :]


def explain(
    loaded: LoadedModel,
    history: Int32,
    targets: Int64,
    *,
    ids: Sequence[ItemId],
    model: str,
) -> Explanation:
    """Both views of one list, in the user's own ids; `ids` are those of items 1..V."""
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


def _batches(loaded: LoadedModel, items: Int32, offsets: Int64) -> Iterator[EvalBatch]:
    yield from sequence_batches(
        items,
        offsets,
        mask_token=loaded.mask_token,
        max_len=loaded.config.model.max_len,
        batch_size=BATCH_SIZE,
    )


def _nested(array: Floats) -> Any:
    """Tuples all the way down."""
    return tuple(map(_nested, array)) if array.ndim else array.item()
