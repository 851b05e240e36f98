"""Read rows of raw files: check columns, clean texts, collect faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from seqtune.core.errors import ConfigurationError
from seqtune.core.task import Report, Sources

from .params import TextIngestConfig
from .rows import Cleaner, RowErrors, id_of, not_text
from .tables import Row, read_rows

IngestT = TypeVar("IngestT", bound=TextIngestConfig)


@dataclass
class RowReader(Generic[IngestT]):
    """Reads rows of files; a task turns them into its records."""

    texts: ClassVar[str]
    """Plural noun of what is read."""
    no_text: ClassVar[str]
    """The next step where a value is not a text."""

    config: IngestT
    clean: Cleaner = field(init=False)
    faults: RowErrors = field(init=False)
    rows_read: Counter[Path] = field(default_factory=Counter)
    num_empty: int = 0
    _checked: set[tuple[Path, tuple[str, ...]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.clean = Cleaner(self.texts, self.config.max_characters)
        self.faults = RowErrors(self.config.max_examples)

    def check_columns(self, row: Row) -> None:
        """Refuse a file that lacks columns; called once for rows with the same columns."""
        raise NotImplementedError

    def rows(self, files: Sequence[Path]) -> Iterator[Row]:
        for row in read_rows(files, kind=self.config.format, encoding=self.config.encoding):
            alike = (row.file, tuple(row.values))  # lines of JSON may differ
            if alike not in self._checked:
                self.check_columns(row)
                self._checked.add(alike)
            self.rows_read[row.file] += 1
            yield row

    def text(self, row: Row, name: str, clean: Cleaner | None = None) -> str | None:
        """Return a cleaned text; record a fault and return None where the value is not a text."""
        fault = not_text(row.values[name])
        if fault is None:
            return (clean or self.clean)(row.values[name])
        what = f"column {name!r} must hold texts"
        self.faults.add(what, f"{row.place} holds {fault}", next_step=self.no_text)
        return None

    def id(self, row: Row, name: str | None, number: str) -> str:
        """Return the row's id, or its number where files have no ids."""
        return id_of(row.values[name]) if name and name in row.values else number


def require_distinct(names: Sequence[str | None], *, key: str, rule: str) -> None:
    """Refuse a column with two purposes."""
    given = [name for name in names if name]
    if twice := sorted({name for name in given if given.count(name) > 1}):
        raise ConfigurationError(
            f"{key} names {', '.join(map(repr, twice))} more than once; {rule}"
        )


def reading_report(
    reader: RowReader[Any], sources: Sources, *, kept: int, dropped: Mapping[str, int]
) -> Report:
    """Report what was read and left out."""
    return {
        "rows_read": reader.rows_read.total(),
        "rows_kept": kept,
        "rows_dropped": dict(dropped),
        "files": [
            {"role": role, "path": str(p), "bytes": p.stat().st_size, "rows": reader.rows_read[p]}
            for role, files in sources.items()
            for p in files
        ],
    }


def drop_warnings(
    dropped: Mapping[str, int], words: Mapping[str, str], *, num_kept: int, texts: str
) -> list[str]:
    """Warn, in a task's words, why rows were left out and how many repeats were kept."""
    found = [f"{dropped[why]} {text}" for why, text in words.items() if dropped[why]]
    if num_kept:
        found.append(f"{num_kept} {texts} repeat an earlier one and were kept")
    return found
