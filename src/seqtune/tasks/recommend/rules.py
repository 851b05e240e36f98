"""Rules for lists: quotas by a side value, and diversity, as pure functions on candidates.

Candidates are the best items of each user after everything that takes items away (seen, denied, not
allowed). A list is filled place by place with the candidate of the highest marginal relevance

    (1 - diversity) * relevance - diversity * similarity

among those whose values are not full. Relevance is the score, 1 for the best and 0 for the last
candidate; similarity is the highest cosine with an item that is in the list already (maximal
marginal relevance, Carbonell and Goldstein 1998). Needs numpy alone.

Shapes: B users, C candidates, K length of a list, V items, M most values of one item, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


class Candidates(NamedTuple):
    """Items of each user, best first; 0 where there are fewer."""

    items: Ints  # [B, C]
    scores: Floats  # [B, C]


@dataclass(frozen=True)
class Quota:
    """At most so many items with the same value in a list."""

    values: Ints
    """The values of each item [V + 1, M], counted from 1; 0 where there are fewer."""
    most: int


@dataclass(frozen=True)
class Selection:
    """How a list is chosen among candidates."""

    quotas: tuple[Quota, ...] = ()
    """An item with several values needs room for all of them; one without any is always allowed."""
    diversity: float = 0.0
    """0: by score alone."""
    vectors: Floats | None = None
    """One of unit length for each item [V + 1, D]; needed for diversity."""
    num_candidates: int = 100


def select(candidates: Candidates, k: int, selection: Selection) -> Candidates:
    """Return lists [B, K] chosen among candidates; 0 where the rules leave fewer."""
    items, scores = candidates
    users = np.arange(len(items))
    counters = [_Counter(quota, items) for quota in selection.quotas]
    marginal = _MarginalRelevance(candidates, selection)
    is_open = items > 0
    chosen, is_filled = np.zeros((len(items), k), np.int64), np.zeros((len(items), k), bool)
    for place in range(k):
        allowed = is_open.copy()
        for counter in counters:
            allowed &= ~counter.is_full()
        best = np.where(allowed, marginal.values(), -np.inf).argmax(axis=1)  # [B]
        filled = allowed[users, best]
        chosen[:, place], is_filled[:, place] = best, filled
        is_open[users[filled], best[filled]] = False
        for counter in counters:
            counter.add(users[filled], best[filled])
        marginal.add(users, best)
    rows = users[:, None]
    return Candidates(
        np.where(is_filled, items[rows, chosen], 0),
        np.where(is_filled, scores[rows, chosen], -np.inf),
    )


def pad_values(values: npt.NDArray[np.integer], offsets: Ints) -> Ints:
    """Return values by item [V + 1, M] from values[offsets[i] : offsets[i + 1]] of item i."""
    lengths = np.diff(offsets)
    padded = np.zeros((len(lengths), max(1, int(lengths.max(initial=0)))), np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = values
    return padded


class _Counter:
    """Counts the values of the items in each list."""

    def __init__(self, quota: Quota, items: Ints) -> None:
        self._most = quota.most
        self._values = quota.values[items]  # [B, C, M]
        self._counts = np.zeros((len(items), int(quota.values.max(initial=0)) + 1), np.int32)

    def is_full(self) -> Bools:  # [B, C]
        counts = self._counts[np.arange(len(self._counts))[:, None, None], self._values]
        return np.asarray(((counts >= self._most) & (self._values > 0)).any(axis=2))

    def add(self, users: Ints, columns: Ints) -> None:
        self._counts[users[:, None], self._values[users, columns]] += 1


class _MarginalRelevance:
    """The value of each candidate for the next place of a list."""

    def __init__(self, candidates: Candidates, selection: Selection) -> None:
        self._diversity = selection.diversity
        if not self._diversity or selection.vectors is None:
            self._relevance: Floats = np.broadcast_to(
                -np.arange(candidates.items.shape[1], dtype=np.float64), candidates.items.shape
            )
            self._vectors = None
            return
        self._relevance = _relevance(candidates)
        self._vectors = selection.vectors[candidates.items]  # [B, C, D]
        self._similarity: Floats | None = None  # [B, C]

    def values(self) -> Floats:  # [B, C]
        if self._vectors is None:
            return self._relevance
        relevance = (1 - self._diversity) * self._relevance
        return (
            relevance
            if self._similarity is None
            else (relevance - self._diversity * self._similarity)
        )

    def add(self, users: Ints, columns: Ints) -> None:
        if self._vectors is None:
            return
        found = np.einsum("bcd,bd->bc", self._vectors, self._vectors[users, columns])
        before = self._similarity
        self._similarity = found if before is None else np.maximum(before, found)


def _relevance(candidates: Candidates) -> Floats:
    """Scale the scores of each user's candidates from 0 (last) to 1 (best)."""
    is_item = candidates.items > 0
    scores = candidates.scores.astype(np.float64)
    high = np.where(is_item, scores, -np.inf).max(axis=1, keepdims=True)
    low = np.where(is_item, scores, np.inf).min(axis=1, keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    return np.where(is_item, (np.where(is_item, scores, 0.0) - low) / span, 0.0)
