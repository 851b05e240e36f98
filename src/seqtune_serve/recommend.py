"""Recommend items after histories, as `predict` of seqtune does.

Shapes: B histories, T time, V items, K length of a list. Column j of scores is item j + 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .counts import Counts
from .exports import Export
from .graphs import Floats, Graph, open_graphs
from .scales import on_scale, settled

ItemId = int | str
Int64 = npt.NDArray[np.int64]

ITEMS = "items.json"
TRAIN_COUNTS = "train_counts.npy"
MODEL, POPULAR = "model", "popular"


@dataclass(frozen=True)
class ListRequest:
    """One list to make. None: as `predict` does."""

    history: Sequence[ItemId]
    """Oldest item first."""
    k: int | None = None
    exclude: Sequence[ItemId] = ()
    include_only: Sequence[ItemId] | None = None
    exclude_seen: bool | None = None


@dataclass(frozen=True)
class RecommendModel:
    """The members of an export, in memory."""

    export: Export
    graphs: Mapping[str, Graph]
    counts: Mapping[str, Counts]
    """Of the members that mix them in."""
    ids: Sequence[ItemId]
    """Raw ids of items 1..V."""
    train_counts: Int64  # [V + 1]

    path = "/recommend"

    @classmethod
    def open(cls, export: Export, *, precision: str, num_threads: int) -> RecommendModel:
        counts = {
            name: Counts.open(export.folder(name), **member["counts"])
            for name, member in export.members.items()
            if member["counts"]
        }
        return cls(
            export,
            open_graphs(export, precision, num_threads=num_threads),
            counts,
            json.loads((export.path / ITEMS).read_bytes()),
            np.load(export.path / TRAIN_COUNTS),
        )

    @cached_property
    def numbers(self) -> Mapping[ItemId, int]:
        """Item numbers by raw id."""
        return {raw: number for number, raw in enumerate(self.ids, start=1)}

    @cached_property
    def by_popularity(self) -> Int64:
        """All items, the most frequent in training first [V]."""
        return np.argsort(-self.train_counts[1:], kind="stable") + 1

    def example(self) -> ListRequest:
        return ListRequest(self.ids[:2])

    def scores(self, histories: Sequence[Sequence[int]]) -> Floats:
        """Return the scores [B, V] of all items after histories of at least one item number."""
        if len(self.graphs) == 1:
            return self._member_scores(next(iter(self.graphs)), histories)
        total, scale = np.zeros((len(histories), len(self.ids))), self.export.manifest["scale"]
        for name, member in self.export.members.items():
            scores = self._member_scores(name, histories).astype(np.float64)
            for row, own in zip(total, scores, strict=True):
                row += member["share"] * on_scale(own, scale)
        return settled(total, scale)

    def answer(self, requests: Sequence[ListRequest]) -> list[dict[str, Any]]:
        """Return a list for each request; the network runs once for all."""
        known = [self._known(request.history) for request in requests]
        warm = [history for history in known if history]
        scores = iter(self.scores(warm) if warm else ())
        return [
            self._list(request, history, next(scores) if history else None)
            for request, history in zip(requests, known, strict=True)
        ]

    def _member_scores(self, name: str, histories: Sequence[Sequence[int]]) -> Floats:
        most = self.export.members[name]["max_len"] - 1
        cut = [history[-most:] for history in histories]
        time = max(map(len, cut)) + 1
        items = np.zeros((len(cut), time), np.int64)
        items[:, -1] = len(self.ids) + 1  # [MASK]
        for row, history in zip(items, cut, strict=True):
            row[time - 1 - len(history) : -1] = history
        scores = self.graphs[name]("scores", items=items)
        if counts := self.counts.get(name):
            for row, history in zip(scores, cut, strict=True):
                counts.mix(row, history)
        return scores

    def _list(
        self, request: ListRequest, history: list[int], scores: Floats | None
    ) -> dict[str, Any]:
        """Return the answer to one request; `scores` [V] are None without a known item."""
        settings = self.export.settings
        k = settings["top_k"] if request.k is None else request.k
        allowed = self._allowed(request)
        if scores is None:
            order = self.by_popularity
            items = (order if allowed is None else order[allowed[order - 1]])[:k]
            values: Floats = self.train_counts[items].astype(float)
        else:
            if allowed is not None:
                scores = np.where(allowed, scores, -np.inf)
            seen = request.exclude_seen
            if settings["exclude_seen"] if seen is None else seen:
                scores[np.asarray(history) - 1] = -np.inf
            items, values = best(scores, k)
        pairs = zip(items.tolist(), values.tolist(), strict=True)
        return {
            "items": [{"item": self.ids[n - 1], "score": value} for n, value in pairs],
            "source": POPULAR if scores is None else MODEL,
            "unknown": self._unknown(request),
        }

    def _known(self, raw: Iterable[ItemId]) -> list[int]:
        return [self.numbers[item] for item in raw if item in self.numbers]

    def _unknown(self, request: ListRequest) -> list[ItemId]:
        """Return the ids of a request that are no items of the model, each once."""
        named = (*request.history, *request.exclude, *(request.include_only or ()))
        return [item for item in dict.fromkeys(named) if item not in self.numbers]

    def _allowed(self, request: ListRequest) -> npt.NDArray[np.bool_] | None:
        """Return which items may be recommended [V]; None for all."""
        if request.include_only is None and not request.exclude:
            return None
        allowed = np.full(len(self.ids) + 1, request.include_only is None)
        allowed[self._known(request.include_only or ())] = True
        allowed[self._known(request.exclude)] = False
        return allowed[1:]


def best(scores: Floats, k: int) -> tuple[Int64, Floats]:
    """Return the best K items and their scores, best first, without those at -inf."""
    k = min(k, len(scores))
    columns = np.argpartition(scores, len(scores) - k)[len(scores) - k :]
    columns = columns[np.lexsort((columns, -scores[columns]))]
    values = scores[columns]
    if np.isnan(values).any():
        raise ValueError("the model returned scores that are not a number")
    kept = values > -np.inf
    return columns[kept] + 1, values[kept]
