"""Rows of raw files as dialogues with summaries; what is wrong with them is collected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seqtune.text.rows import Cleaner, Faults, id_of, not_text, says_something
from seqtune.text.tables import Row, read_rows, require_columns

from .params import ColumnNames, IngestConfig

POOL, VALID, TEST = ROLES = ("dialogues", "valid_dialogues", "test_dialogues")
PREFIXES = {TEST: "test-", VALID: "valid-", POOL: ""}
"""In front of numbers that are ids: those of an official part are its own, so that it stays
the same whatever there is to train on."""
COLUMNS_KEY = "summarize.ingest.columns"
USUAL_ID = "fname"
"""The id column of DialogSum: the default, which files of other origin need not have."""


@dataclass(frozen=True)
class Dialogue:
    """One row as it was read."""

    role: str
    place: str
    id: str
    dialogue: str
    summaries: tuple[str, ...]
    topic: str | None


@dataclass
class Reader:
    """Reads rows of all files, and remembers what was wrong with them."""

    config: IngestConfig
    clean: Cleaner = field(init=False)
    clean_summary: Cleaner = field(init=False)
    faults: Faults = field(init=False)
    rows_read: Counter[Path] = field(default_factory=Counter)
    num_empty: int = 0
    without: dict[str, set[Path]] = field(default_factory=dict)
    """Files that lack an optional column, by its name."""
    _checked: set[tuple[Path, tuple[str, ...]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.clean = Cleaner("dialogues", self.config.max_characters)
        self.clean_summary = Cleaner("summaries", self.config.max_characters)
        self.faults = Faults(self.config.max_examples)

    def read(self, role: str, files: Sequence[Path]) -> Iterator[Dialogue]:
        """The rows that can be used."""
        columns = self.config.columns
        rows = read_rows(files, kind=self.config.format, encoding=self.config.encoding)
        for number, row in enumerate(rows):
            self._check_columns(row)
            self.rows_read[row.file] += 1
            dialogue = self._text(row, columns.dialogue, self.clean)
            names = summary_columns(row, columns)
            found = [self._text(row, name, self.clean_summary) for name in names]
            if dialogue is None or None in found:
                continue
            summaries = tuple(text for text in found if text)
            if self._is_empty(row, dialogue, summaries):
                continue
            yield Dialogue(
                role,
                row.place,
                self._id(row, f"{PREFIXES[role]}{number}"),
                dialogue,
                summaries,
                self._topic(row),
            )

    def _check_columns(self, row: Row) -> None:
        """Once for all rows of a file that have the same columns."""
        names = tuple(row.values)
        if (row.file, names) in self._checked:
            return
        columns = self.config.columns
        keys = {columns.dialogue: f"{COLUMNS_KEY}.dialogue"}
        is_first = not any(file == row.file for file, _ in self._checked)
        if is_first and not summary_columns(row, columns):  # in a later row: an empty summary
            keys[columns.summary] = f"{COLUMNS_KEY}.summary"
        if columns.id and columns.id not in names:
            if columns.id != USUAL_ID:
                keys[columns.id] = f"{COLUMNS_KEY}.id"
            self.without.setdefault(columns.id, set()).add(row.file)
        if columns.topic and columns.topic not in names:
            self.without.setdefault(columns.topic, set()).add(row.file)
        require_columns(row, list(keys), keys=keys)
        self._checked.add((row.file, names))

    def _text(self, row: Row, name: str, clean: Cleaner) -> str | None:
        fault = not_text(row.values[name])
        if fault is None:
            return clean(row.values[name])
        self.faults.add(
            f"column {name!r} must hold texts",
            f"{row.place} holds {fault}",
            next_step="Correct it: a text in quotes; an empty one is treated by "
            "summarize.ingest.on_empty",
        )
        return None

    def _is_empty(self, row: Row, dialogue: str, summaries: Sequence[str]) -> bool:
        """Whether there is nothing to read or nothing to write."""
        if says_something(dialogue) and any(map(says_something, summaries)):
            return False
        if self.config.on_empty == "error":
            what = "summary" if says_something(dialogue) else "dialogue"
            self.faults.add(
                f"rows without a {what}",
                row.place,
                next_step="Give one to each, or set summarize.ingest.on_empty=drop to leave such "
                "rows out and count them",
            )
        self.num_empty += 1
        return True

    def _id(self, row: Row, number: str) -> str:
        name = self.config.columns.id
        return id_of(row.values[name]) if name and name in row.values else number

    def _topic(self, row: Row) -> str | None:
        found = row.values.get(self.config.columns.topic or "")
        return None if found is None else str(found).strip() or None


def summary_columns(row: Row, columns: ColumnNames) -> list[str]:
    """The columns of references: the one, or else those with 1, 2, 3 behind its name."""
    if columns.summary in row.values:
        return [columns.summary]
    pattern = re.compile(re.escape(columns.summary) + r"[1-9]\d?")
    found = [name for name in row.values if pattern.fullmatch(name)]
    return sorted(found, key=lambda name: int(name.removeprefix(columns.summary)))
