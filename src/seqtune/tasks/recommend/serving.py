"""A recommender that answers rows: what MLflow serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtune.contracts.errors import DataError
from seqtune.contracts.serving import Column, ColumnKind

from .recommender import Recommender

ITEMS = "items"
NUM_EXAMPLES = 2


@dataclass(frozen=True)
class ServedRecommender:
    """Rows of `items` (oldest first) in, lists of items with their scores out."""

    recommender: Recommender

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column(ITEMS, self._id_kind, is_list=True),)

    @property
    def settings(self) -> dict[str, Any]:
        return {"k": 10, "exclude_seen": True}

    @property
    def answer(self) -> dict[str, ColumnKind]:
        return {"item": self._id_kind, "score": "number", "source": "text"}

    @property
    def example(self) -> list[dict[str, Any]]:
        return [{ITEMS: list(self.recommender.ids[:NUM_EXAMPLES])}]

    @property
    def _id_kind(self) -> ColumnKind:
        return "text" if isinstance(self.recommender.ids[0], str) else "integer"

    def answers(
        self, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
    ) -> list[list[dict[str, Any]]]:
        histories = [_history(row) for row in rows]
        lists = self.recommender.recommend(
            histories, int(settings["k"]), exclude_seen=bool(settings["exclude_seen"])
        )
        return [[line._asdict() for line in lines] for lines in lists]


def open_served(folder: Path) -> ServedRecommender:
    """From the folder of a checkpoint or an ensemble, on the CPU or on the GPU there is."""
    return ServedRecommender(Recommender.load(folder))


def _history(row: Mapping[str, Any]) -> list[Any]:
    items = row.get(ITEMS)
    if items is None:  # a user of whom nothing is known
        return []
    if isinstance(items, str) or not hasattr(items, "__iter__"):
        raise DataError(f"{ITEMS} must be a list of item ids, oldest first, not {items!r}")
    return [item.item() if hasattr(item, "item") else item for item in items]
