"""Texts of new files without labels, read as `ingest` reads those with labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from seqtune.text.rows import says_something
from seqtune.text.tables import Row

from .data import ID, TEXT
from .reading import COLUMNS_KEY, Reader

SCHEMA = pa.schema([(ID, pa.string()), (TEXT, pa.string())])


@dataclass
class NewTexts(Reader):
    """Reads files of texts in chunks, and counts what is odd about them."""

    num_rows: int = 0

    def chunks(self, files: Sequence[Path], size: int) -> Iterator[pa.RecordBatch]:
        """All texts of the files; refuses the first chunk with a row that cannot be answered."""
        rows = self.rows(files)
        while some := list(islice(rows, size)):
            yield self._chunk(some)

    def warnings(self) -> list[str]:
        found = self.clean.warnings()
        if self.num_empty:
            found.append(f"{self.num_empty} texts have no letter or digit and were scored as such")
        return found

    def _chunk(self, rows: Sequence[Row]) -> pa.RecordBatch:
        columns = self.config.columns
        texts = [self.text(row, columns.text) or "" for row in rows]
        for row in rows:
            if columns.id and row.values[columns.id] in (None, ""):
                self.faults.add(
                    f"column {columns.id!r} must name each row",
                    f"{row.place} holds nothing",
                    next_step=f"Correct it, or set {COLUMNS_KEY}.id=null to number the rows",
                )
        self.faults.raise_any()
        self.num_empty += sum(not says_something(text) for text in texts)
        first, self.num_rows = self.num_rows, self.num_rows + len(rows)
        ids = [
            str(row.values[columns.id]) if columns.id else str(number)
            for number, row in enumerate(rows, start=first)
        ]
        return pa.record_batch([ids, texts], schema=SCHEMA)
