"""What a trained model takes and gives when it is served, whatever the task.

`seqtune.tasks.<task>.serving` has a function `open_served(folder)` that makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

ColumnKind = Literal["text", "integer", "number"]


@dataclass(frozen=True)
class Column:
    """A column of the table that comes in."""

    name: str
    kind: ColumnKind
    is_list: bool = False


class Served(Protocol):
    """A model in memory that answers rows."""

    @property
    def columns(self) -> Sequence[Column]: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What may be said beside the rows, with its default."""

    @property
    def answer(self) -> Mapping[str, ColumnKind]:
        """What each line of an answer holds; an answer is a list of lines."""

    @property
    def example(self) -> Sequence[Mapping[str, Any]]:
        """Rows that it can answer."""

    def answers(
        self, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
    ) -> list[list[dict[str, Any]]]:
        """One answer a row, in plain types that JSON knows."""
