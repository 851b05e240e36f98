"""Read rows of raw files as dialogues, with or without summaries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from seqtune.core.errors import DataError
from seqtune.core.task import Report
from seqtune.text.reading import RowReader
from seqtune.text.rows import Cleaner, check_ids, has_content, not_text
from seqtune.text.tables import Row, require_columns

from .data import DIALOGUE, ID
from .params import ColumnNames, IngestConfig

POOL, VALID, TEST = ROLES = ("dialogues", "valid_dialogues", "test_dialogues")
PREFIXES = {TEST: "test-", VALID: "valid-", POOL: ""}
"""Prefixes of ids that are row numbers; with them, an official part never depends on others."""
COLUMNS_KEY = "summarize.ingest.columns"
NEW_SCHEMA = pa.schema([(ID, pa.string()), (DIALOGUE, pa.string())])
USUAL_ID = "fname"
"""The id column of DialogSum: the default, which other files need not have."""


@dataclass(frozen=True)
class Dialogue:
    """One row."""

    role: str
    place: str
    id: str
    dialogue: str
    summaries: tuple[str, ...]
    topic: str | None


@dataclass
class DialogueReader(RowReader[IngestConfig]):
    """Read dialogues with their summaries."""

    texts = "dialogues"
    no_text = "Correct it: a text in quotes; an empty one is treated by summarize.ingest.on_empty"

    clean_summary: Cleaner = field(init=False)
    without: dict[str, set[Path]] = field(default_factory=dict)
    """Files that lack an optional column, by its name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clean_summary = Cleaner("summaries", self.config.max_characters)

    def read(self, role: str, files: Sequence[Path]) -> Iterator[Dialogue]:
        """Yield the rows that can be used."""
        columns = self.config.columns
        for number, row in enumerate(self.rows(files)):
            dialogue = self.text(row, columns.dialogue)
            names = summary_columns(row, columns)
            found = [self.text(row, name, self.clean_summary) for name in names]
            if dialogue is None or None in found:
                continue
            summaries = tuple(text for text in found if text)
            if self._is_empty(row, dialogue, summaries):
                continue
            own = self.id(row, columns.id, f"{PREFIXES[role]}{number}")
            yield Dialogue(role, row.place, own, dialogue, summaries, self._topic(row))

    def check_columns(self, row: Row) -> None:
        names, columns = tuple(row.values), self.config.columns
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

    def _is_empty(self, row: Row, dialogue: str, summaries: Sequence[str]) -> bool:
        """Whether dialogue or summary is empty; count the row or add a fault."""
        if has_content(dialogue) and any(map(has_content, summaries)):
            return False
        if self.config.on_empty == "error":
            what = "summary" if has_content(dialogue) else "dialogue"
            self.faults.add(
                f"rows without a {what}",
                row.place,
                next_step="Give one to each, or set summarize.ingest.on_empty=drop to leave such "
                "rows out and count them",
            )
        self.num_empty += 1
        return True

    def _topic(self, row: Row) -> str | None:
        found = row.values.get(self.config.columns.topic or "")
        return None if found is None else str(found).strip() or None


def summary_columns(row: Row, columns: ColumnNames) -> list[str]:
    """Return the columns of references: `summary`, or else `summary1`, `summary2`, ..."""
    if columns.summary in row.values:
        return [columns.summary]
    pattern = re.compile(re.escape(columns.summary) + r"[1-9]\d?")
    found = [name for name in row.values if pattern.fullmatch(name)]
    return sorted(found, key=lambda name: int(name.removeprefix(columns.summary)))


@dataclass(frozen=True)
class NewDialogues:
    """The rows of some files that can be summarised, in order."""

    ids: list[str]
    dialogues: list[str]
    num_empty: int
    warnings: list[str]

    def chunks(self, size: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self.ids), size):
            some = slice(start, start + size)
            yield pa.record_batch([self.ids[some], self.dialogues[some]], schema=NEW_SCHEMA)

    def report(self) -> Report:
        return {"rows_empty": self.num_empty, "warnings": self.warnings}


class NewReader(RowReader[IngestConfig]):
    """Read dialogues without summaries."""

    texts = "dialogues"

    def check_columns(self, row: Row) -> None:
        columns = self.config.columns
        keys = {columns.dialogue: f"{COLUMNS_KEY}.dialogue"}
        if columns.id not in (None, USUAL_ID):
            keys[str(columns.id)] = f"{COLUMNS_KEY}.id"
        require_columns(row, list(keys), keys=keys)

    def dialogue(self, row: Row) -> str | None:
        """Return a cleaned dialogue, or None."""
        text = row.values[self.config.columns.dialogue]
        if not_text(text) is None and has_content(text):
            return self.clean(text)
        if self.config.on_empty == "error" or isinstance(text, int | float | list | dict):
            found = not_text(text)
            self.faults.add(
                "rows without a dialogue",
                f"{row.place} holds {found}" if found else row.place,
                next_step="Give each a text, or set summarize.ingest.on_empty=drop to leave empty "
                "ones out",
            )
        return None


def read_new_dialogues(files: Sequence[Path], config: IngestConfig) -> NewDialogues:
    """Read and check every row; all faults are raised together."""
    reader = NewReader(config)
    ids, dialogues, places = [], [], []
    for number, row in enumerate(reader.rows(files)):
        text = reader.dialogue(row)
        if text is not None:
            ids.append(reader.id(row, config.columns.id, str(number)))
            dialogues.append(text)
            places.append(row.place)
    check_ids(zip(ids, places, strict=True), reader.faults, key=f"{COLUMNS_KEY}.id")
    reader.faults.raise_any()
    num_rows = reader.rows_read.total()
    if not ids:
        raise DataError(
            f"{', '.join(map(str, files))}: none of the {num_rows} rows has a dialogue to "
            f"summarise; see {COLUMNS_KEY}.dialogue"
        )
    return NewDialogues(ids, dialogues, num_rows - len(ids), reader.clean.warnings())
