"""The files of predictions: a full table, and a submission file for competitions."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute, csv

PREDICTIONS = "predictions.parquet"
SUBMISSION = "submission.csv"


class PredictionFiles(ExitStack):
    """Both files, created with the first rows."""

    def __init__(self, out: Path, *, escape_formulas: bool) -> None:
        super().__init__()
        self._out = out
        self._escape_formulas = escape_formulas
        self._files: tuple[pq.ParquetWriter, csv.CSVWriter] | None = None

    def write(self, predictions: pa.Table, submission: pa.Table) -> None:
        """Append rows to each."""
        if self._files is None:
            self._files = (
                self.enter_context(pq.ParquetWriter(self._out / PREDICTIONS, predictions.schema)),
                self.enter_context(csv.CSVWriter(self._out / SUBMISSION, submission.schema)),
            )
        parquet, text = self._files
        parquet.write_table(predictions)
        text.write_table(_escape(submission) if self._escape_formulas else submission)


def _escape(table: pa.Table) -> pa.Table:
    """Put an apostrophe before texts that a spreadsheet would run as a formula."""
    columns = [
        compute.replace_substring_regex(column, "^[=+\\-@\t\r]", r"'\0")
        if pa.types.is_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)
