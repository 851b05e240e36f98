"""What a trained model takes and gives when it is served, whatever the task.

`seqtune.tasks.<task>.serving` has a function `open_served(folder)` that makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ColumnKind = Literal["text", "integer", "number"]


@dataclass(frozen=True)
class Column:
    """A column of the table that comes in."""

    name: str
    kind: ColumnKind
    is_list: bool = False


Rows = Sequence[Mapping[str, Any]]
Answers = list[list[dict[str, Any]]]
"""For each row a list of lines, in plain types that JSON knows."""


@dataclass(frozen=True)
class Served:
    """A model in memory that answers rows."""

    columns: Sequence[Column]
    settings: Mapping[str, Any]
    """What may be given beside the rows, with its default."""
    answer: Mapping[str, ColumnKind]
    """The values of each line of an answer."""
    example: Rows
    """Rows that it can answer."""
    answers: Callable[[Rows, Mapping[str, Any]], Answers]
    """One answer for each row, under such settings."""
