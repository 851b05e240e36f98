"""Texts of files that nobody has labelled, read as `ingest` reads those that somebody has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow as pa

from seqtune.text.rows import Cleaner, Faults, says_something
from seqtune.text.tables import Row, read_rows

from .data import ID, TEXT
from .params import IngestConfig
from .reading import COLUMNS_KEY, is_text, require_named

SCHEMA = pa.schema([(ID, pa.string()), (TEXT, pa.string())])


@dataclass
class NewTexts:
    """Reads files of texts that need no labels, and counts what is odd about them."""

    config: IngestConfig
    clean: Cleaner = field(init=False)
    num_rows: int = 0
    num_empty: int = 0

    def __post_init__(self) -> None:
        self.clean = Cleaner("texts", self.config.max_characters)

    def chunks(self, files: Sequence[Path], size: int) -> Iterator[pa.RecordBatch]:
        """All texts of the files; refuses the first chunk with a row that cannot be answered."""
        rows = iter(read_rows(files, kind=self.config.format, encoding=self.config.encoding))
        while some := list(islice(rows, size)):
            yield self._chunk(some)

    def warnings(self) -> list[str]:
        found = self.clean.warnings()
        if self.num_empty:
            found.append(f"{self.num_empty} texts have no letter or digit and were scored as such")
        return found

    def _chunk(self, rows: Sequence[Row]) -> pa.RecordBatch:
        columns, faults = self.config.columns, Faults(self.config.max_examples)
        for row in rows:
            require_named(row, columns)
            is_text(row, columns.text, faults)
            if columns.id:
                _require_id(row, columns.id, faults)
        faults.raise_any()
        texts = [self.clean(row.values[columns.text]) for row in rows]
        self.num_empty += sum(not says_something(text) for text in texts)
        first, self.num_rows = self.num_rows, self.num_rows + len(rows)
        ids = (
            [str(row.values[columns.id]) for row in rows]
            if columns.id
            else [str(number) for number in range(first, self.num_rows)]
        )
        return pa.record_batch([ids, texts], schema=SCHEMA)


def _require_id(row: Row, name: str, faults: Faults) -> None:
    if row.values[name] in (None, ""):
        faults.add(
            f"column {name!r} must name each row",
            f"{row.place} holds nothing",
            next_step=f"Correct it, or set {COLUMNS_KEY}.id=null to number the rows",
        )
