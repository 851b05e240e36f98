"""Rows of raw files as texts, with or without labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqtune.core.errors import DataError
from seqtune.text.reading import RowReader
from seqtune.text.rows import has_content
from seqtune.text.tables import Row, require_columns

from .data import ID, TEXT
from .params import IngestConfig

POOL, TEST = "texts", "test_texts"
PREFIXES = {TEST: "test-", POOL: ""}
"""Prefixes of row numbers used as ids; the test file has its own numbers, so that its ids do not
depend on the training files."""
COLUMNS_KEY = "classify.ingest.columns"
NEW_SCHEMA = pa.schema([(ID, pa.string()), (TEXT, pa.string())])
_VALUES: dict[Any, int] = {0: 0, 1: 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
"""Allowed values of a label; True and 1.0 equal 1 as dictionary keys."""


@dataclass(frozen=True)
class Labelled:
    """One text with its labels."""

    role: str
    place: str
    id: str
    text: str
    labels: tuple[int, ...]


@dataclass
class TextReader(RowReader[IngestConfig]):
    """Reads texts that may have labels."""

    texts = "texts"
    no_text = f"Correct it, or name another column in {COLUMNS_KEY}.text"

    def check_columns(self, row: Row) -> None:
        columns = self.config.columns
        keys = {columns.text: f"{COLUMNS_KEY}.text"}
        if columns.id:
            keys[columns.id] = f"{COLUMNS_KEY}.id"
        require_columns(row, list(keys), keys=keys)


@dataclass
class LabelReader(TextReader):
    """Reads texts with their labels."""

    labels: tuple[str, ...] = ()
    num_empty_tested: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.labels = self.config.columns.labels

    def read(self, role: str, files: Sequence[Path]) -> Iterator[Labelled]:
        """Yield the valid rows; invalid ones are collected as faults."""
        for number, row in enumerate(self.rows(files)):
            text, labels = self._read_text(row, role), self._read_labels(row)
            if text is not None and labels is not None:
                own = self.id(row, self.config.columns.id, f"{PREFIXES[role]}{number}")
                yield Labelled(role, row.place, own, text, labels)

    def check_columns(self, row: Row) -> None:
        super().check_columns(row)
        names, columns = tuple(row.values), self.config.columns
        others = {columns.text, columns.id, *columns.ignore}
        self.labels = self.labels or tuple(name for name in names if name not in others)
        if not self.labels:
            raise DataError(
                f"{row.file} has no label column beside {', '.join(names)}; give a column of 0 and "
                "1 for each label"
            )
        require_columns(row, self.labels, keys=dict.fromkeys(self.labels, f"{COLUMNS_KEY}.labels"))
        more = [name for name in names if name not in others and name not in self.labels]
        if more and not columns.labels:
            raise DataError(
                f"{row.file} has the columns {', '.join(map(repr, more))}, which the first file "
                f"lacks; all files need the same labels ({', '.join(self.labels)}). Name the label "
                f"columns in {COLUMNS_KEY}.labels, or the others in {COLUMNS_KEY}.ignore"
            )

    def _read_text(self, row: Row, role: str) -> str | None:
        text = self.text(row, self.config.columns.text)
        if text is None or has_content(text):
            return text
        if self.config.on_empty == "error":
            self.faults.add(
                "texts without a letter or digit",
                f"{row.place} ({text[:20]!r})",
                next_step="Correct them, or set classify.ingest.on_empty=drop to leave such rows "
                "out and count them",
            )
        if role == TEST:
            self.num_empty_tested += 1
            return text
        self.num_empty += 1
        return None

    def _read_labels(self, row: Row) -> tuple[int, ...] | None:
        found = [_parse_label(row.values[name]) for name in self.labels]
        if None not in found:
            return tuple(value for value in found if value is not None)
        for name, value in zip(self.labels, found, strict=True):
            if value is None:
                self.faults.add(
                    "labels must be 0 or 1",
                    f"{row.place}: column {name!r} holds {row.values[name]!r:.40}",
                    next_step="Correct them, or name the label columns in "
                    f"{COLUMNS_KEY}.labels or the other columns in {COLUMNS_KEY}.ignore",
                )
        return None


@dataclass
class NewTexts(TextReader):
    """Reads files of new texts in chunks, and counts empty and changed ones."""

    num_rows: int = 0

    def chunks(self, files: Sequence[Path], size: int) -> Iterator[pa.RecordBatch]:
        """Yield all texts of the files; refuses the first chunk with an invalid row."""
        rows = self.rows(files)
        while some := list(islice(rows, size)):
            yield self._read_chunk(some)

    def warnings(self) -> list[str]:
        found = self.clean.warnings()
        if self.num_empty:
            found.append(f"{self.num_empty} texts have no letter or digit; they were scored")
        return found

    def _read_chunk(self, rows: Sequence[Row]) -> pa.RecordBatch:
        columns = self.config.columns
        texts = [self.text(row, columns.text) or "" for row in rows]
        for row in rows:
            if columns.id and row.values[columns.id] in (None, ""):
                self.faults.add(
                    f"column {columns.id!r} must have an id in each row",
                    f"{row.place} is empty",
                    next_step=f"Correct it, or set {COLUMNS_KEY}.id=null to number the rows",
                )
        self.faults.raise_any()
        self.num_empty += sum(not has_content(text) for text in texts)
        first, self.num_rows = self.num_rows, self.num_rows + len(rows)
        ids = [
            str(row.values[columns.id]) if columns.id else str(number)
            for number, row in enumerate(rows, start=first)
        ]
        return pa.record_batch([ids, texts], schema=NEW_SCHEMA)


def _parse_label(value: Any) -> int | None:
    """Return 0 or 1; None for an invalid value."""
    try:
        return _VALUES.get(value.strip().lower() if isinstance(value, str) else value)
    except TypeError:  # a list or an object of JSON
        return None
