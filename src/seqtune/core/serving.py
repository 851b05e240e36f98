"""The interface of a served model of any task.

`seqtune.tasks.<task>.serving` has a function `open_served(folder)` that makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ColumnKind = Literal["text", "integer", "number"]


@dataclass(frozen=True)
class Column:
    """A column of the input table."""

    name: str
    kind: ColumnKind
    is_list: bool = False


Rows = Sequence[Mapping[str, Any]]
Answers = list[list[dict[str, Any]]]
"""For each row a list of lines of JSON types."""


@dataclass(frozen=True)
class Served:
    """A model in memory that answers rows."""

    columns: Sequence[Column]
    settings: Mapping[str, Any]
    """Options of a request with their defaults."""
    answer: Mapping[str, ColumnKind]
    """The columns of each line of an answer."""
    example: Rows
    """Valid input rows."""
    answers: Callable[[Rows, Mapping[str, Any]], Answers]
    """One answer for each row, under these settings."""
