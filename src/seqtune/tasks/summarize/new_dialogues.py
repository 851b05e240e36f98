"""Dialogues of files that nobody has summarised, read as `ingest` reads those that somebody has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from seqtune.contracts.errors import DataError
from seqtune.contracts.task import Report
from seqtune.text.rows import Cleaner, Faults, check_ids, id_of, not_text, says_something
from seqtune.text.tables import Row, read_rows, require_columns

from .data import DIALOGUE, ID
from .params import IngestConfig
from .reading import COLUMNS_KEY, USUAL_ID

ON_EMPTY = "summarize.ingest.on_empty"
SCHEMA = pa.schema([(ID, pa.string()), (DIALOGUE, pa.string())])


@dataclass(frozen=True)
class NewDialogues:
    """All rows of some files that can be summarised, in order."""

    ids: list[str]
    dialogues: list[str]
    num_empty: int
    warnings: list[str]

    def chunks(self, size: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self.ids), size):
            some = slice(start, start + size)
            yield pa.record_batch([self.ids[some], self.dialogues[some]], schema=SCHEMA)

    def report(self) -> Report:
        return {"rows_empty": self.num_empty, "warnings": self.warnings}


def read_new_dialogues(files: Sequence[Path], config: IngestConfig) -> NewDialogues:
    """Every row is looked at before the first one is summarised; all faults are raised at once."""
    clean, faults = Cleaner("dialogues", config.max_characters), Faults(config.max_examples)
    ids, dialogues, places, num_rows = [], [], [], 0
    checked: set[tuple[Path, tuple[str, ...]]] = set()
    for row in read_rows(files, kind=config.format, encoding=config.encoding):
        if (kind := (row.file, tuple(row.values))) not in checked:  # lines of JSON may differ
            _require_columns(row, config)
            checked.add(kind)
        text = _dialogue(row, config, faults)
        if text is not None:
            ids.append(_id(row, config, num_rows))
            dialogues.append(clean(text))
            places.append(row.place)
        num_rows += 1
    check_ids(zip(ids, places, strict=True), faults, key=f"{COLUMNS_KEY}.id")
    faults.raise_any()
    if not ids:
        raise DataError(
            f"{', '.join(map(str, files))}: none of the {num_rows} rows has a dialogue to "
            f"summarise; see {COLUMNS_KEY}.dialogue"
        )
    return NewDialogues(ids, dialogues, num_rows - len(ids), clean.warnings())


def _require_columns(row: Row, config: IngestConfig) -> None:
    """The id of DialogSum is the default, which files of other origin need not have."""
    columns = config.columns
    keys = {columns.dialogue: f"{COLUMNS_KEY}.dialogue"}
    if columns.id not in (None, USUAL_ID):
        keys[str(columns.id)] = f"{COLUMNS_KEY}.id"
    require_columns(row, list(keys), keys=keys)


def _dialogue(row: Row, config: IngestConfig, faults: Faults) -> str | None:
    text = row.values[config.columns.dialogue]
    if not_text(text) is None and says_something(text):
        return str(text)
    if config.on_empty == "error" or isinstance(text, int | float | list | dict):
        said = not_text(text)
        faults.add(
            "rows without a dialogue",
            f"{row.place} holds {said}" if said else row.place,
            next_step=f"Give each a text, or set {ON_EMPTY}=drop to leave empty ones out",
        )
    return None


def _id(row: Row, config: IngestConfig, number: int) -> str:
    """Where no column of ids is, rows are numbered."""
    name = config.columns.id
    return id_of(row.values[name]) if name and name in row.values else str(number)
