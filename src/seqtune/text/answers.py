"""Files with the answers of other systems: a row for each text, known by its id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from seqtune.core.errors import DataError

from .params import TextIngestConfig
from .rows import RowErrors, id_of
from .split import Part, TextSplit
from .tables import read_rows, require_columns

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class AnswerFiles(Generic[ValueT]):
    """How the answers to some texts are read from a file."""

    ids: Sequence[str]
    """Of the texts."""
    id_column: str
    columns: Sequence[str]
    """Those with the answer."""
    parse: Callable[[Any], ValueT | None]
    """Returns None for a value that `rule` does not allow."""
    rule: str
    """What is allowed."""
    config: TextIngestConfig
    keys: str
    """The section of parameters that names columns."""

    def read(self, path: Path) -> list[list[ValueT]]:
        """Return the values of each text, in the order of `ids`; raise all faults together.

        Rows with other ids are left out.
        """
        faults, wanted = RowErrors(self.config.max_examples), set(self.ids)
        names = {self.id_column: f"{self.keys}.id"}
        found: dict[str, list[ValueT]] = {}
        for row in read_rows([path], encoding=self.config.encoding):
            require_columns(row, [self.id_column, *self.columns], keys=names)
            own = id_of(row.values[self.id_column])
            if own not in wanted:
                continue
            if own in found:
                next_step = "Leave one answer for each id"
                faults.add(
                    "more than one answer for an id", f"{own!r} in {row.place}", next_step=next_step
                )
            found[own] = []
            for name in self.columns:
                value = self.parse(row.values[name])
                if value is None:
                    shown = f"{row.place}: column {name!r} holds {row.values[name]!r:.40}"
                    faults.add(self.rule, shown, next_step="Correct them")
                else:
                    found[own].append(value)
        for missing in self.ids:
            if missing not in found:
                next_step = "Give one for every row that is compared"
                faults.add(f"{path}: ids without an answer", repr(missing), next_step=next_step)
        faults.raise_any()
        return [found[own] for own in self.ids]


def require_rows(data: TextSplit, part: Part, *, task: str) -> None:
    """Refuse a part without rows to compare on."""
    if not data.num_rows(part):
        raise DataError(
            f"{data.path} has no {part} part to compare on; compare on a split made with "
            f"{task}.split.use_full_data=false"
        )
