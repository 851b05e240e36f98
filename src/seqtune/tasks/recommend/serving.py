"""A recommender that answers rows, for serving with MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from seqtune.core.errors import DataError
from seqtune.core.serving import Answers, Column, ColumnKind, Rows, Served

from .recommender import Recommender

ITEMS = "items"
NUM_EXAMPLES = 2


def open_served(folder: Path) -> Served:
    """Open a checkpoint or an ensemble: rows of `items` (oldest first) in, scored lists out."""
    recommender = Recommender.load(folder)
    id_kind: ColumnKind = "text" if isinstance(recommender.ids[0], str) else "integer"
    return Served(
        columns=(Column(ITEMS, id_kind, is_list=True),),
        settings={"k": 10, "exclude_seen": True},
        answer={"item": id_kind, "score": "number", "source": "text"},
        example=[{ITEMS: list(recommender.ids[:NUM_EXAMPLES])}],
        answers=partial(_answers, recommender),
    )


def _answers(recommender: Recommender, rows: Rows, settings: Mapping[str, Any]) -> Answers:
    histories = [_history(row) for row in rows]
    lists = recommender.recommend(
        histories, int(settings["k"]), exclude_seen=bool(settings["exclude_seen"])
    )
    return [[line._asdict() for line in lines] for lines in lists]


def _history(row: Mapping[str, Any]) -> list[Any]:
    items = row.get(ITEMS)
    if items is None:  # a user without history
        return []
    if isinstance(items, str) or not hasattr(items, "__iter__"):
        raise DataError(f"{ITEMS} must be a list of item ids, oldest first, not {items!r}")
    return [item.item() if hasattr(item, "item") else item for item in items]
