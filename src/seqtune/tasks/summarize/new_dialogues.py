"""Dialogues of new files without summaries, read as `ingest` reads those with summaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from seqtune.contracts.errors import DataError
from seqtune.contracts.task import Report
from seqtune.text.reading import RowReader
from seqtune.text.rows import check_ids, not_text, says_something
from seqtune.text.tables import Row, require_columns

from .data import DIALOGUE, ID
from .params import IngestConfig
from .reading import COLUMNS_KEY, USUAL_ID

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


class NewReader(RowReader[IngestConfig]):
    """Reads dialogues alone."""

    texts = "dialogues"

    def check_columns(self, row: Row) -> None:
        """The id of DialogSum is the default, which files of other origin need not have."""
        columns = self.config.columns
        keys = {columns.dialogue: f"{COLUMNS_KEY}.dialogue"}
        if columns.id not in (None, USUAL_ID):
            keys[str(columns.id)] = f"{COLUMNS_KEY}.id"
        require_columns(row, list(keys), keys=keys)

    def dialogue(self, row: Row) -> str | None:
        """A cleaned dialogue; None where there is none."""
        text = row.values[self.config.columns.dialogue]
        if not_text(text) is None and says_something(text):
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
