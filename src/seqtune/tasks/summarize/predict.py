"""Summaries of everybody, written as they are made (by an ensemble, when its members are done).

    predictions.parquet    id, part, summary
    submission.csv         id, summary, under the names of the user's columns

Rows keep their order. Dialogues are not repeated: the id leads to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from seqtune.contracts.errors import DataError
from seqtune.contracts.task import Report
from seqtune.text.split import Part

from .data import ID, SummarizeData
from .ensemble import Writer, open_model
from .new_dialogues import read_new_dialogues
from .params import ColumnNames, PredictConfig

PREDICTIONS = "predictions.parquet"
SUBMISSION = "submission.csv"
PART, SUMMARY = "part", "summary"
NEW = "new"
CHUNK_BATCHES = 16
"""Batches whose dialogues are bucketed by length together and then put back in order."""
SCHEMA = pa.schema([(ID, pa.string()), (PART, pa.string()), (SUMMARY, pa.string())])


@dataclass(frozen=True)
class Asked:
    """What is to be summarised."""

    part: str
    ids: Sequence[str]
    dialogues: Sequence[str]
    found: Report


def predict(
    checkpoint: Path,
    data: SummarizeData,
    settings: PredictConfig,
    *,
    new_rows: tuple[Path, ...],
    out: Path,
) -> Report:
    """Summarise the test part (valid where there is none), or the files of new rows instead.

    `checkpoint` may be the folder of an ensemble.
    """
    loaded = open_model(checkpoint, settings.weights)
    loaded.require_assets(data.assets_hash, what=str(data.path))
    asked = _asked(loaded, data, new_rows)
    with Files(out, loaded.config.ingest.columns) as files:
        _summarise(loaded, asked, files, batch_size=settings.batch_size)
    counts = {"rows": files.num_rows, "empty_summaries": files.num_empty, "cut": files.num_cut}
    return {
        "headline": _headline(asked, counts),
        **loaded.identity(),
        "part": asked.part,
        "rows_from": [str(path) for path in new_rows or (data.path,)],
        **counts,
        **asked.found,
    }


def _asked(loaded: Writer, data: SummarizeData, new_rows: tuple[Path, ...]) -> Asked:
    if new_rows:
        read = read_new_dialogues(new_rows, loaded.config.ingest)
        return Asked(NEW, read.ids, read.dialogues, read.report())
    part: Part = "test" if data.has_test else "valid"
    if not data.num_rows(part):
        raise DataError(
            f"{data.path} holds neither a test nor a valid part to summarise: everything in it is "
            "trained on. Name files of new dialogues, or split with summarize.split.test_share "
            "above 0"
        )
    return Asked(part, data.ids(part), data.dialogues(part), {})


def _summarise(loaded: Writer, asked: Asked, files: Files, *, batch_size: int) -> None:
    size = CHUNK_BATCHES * batch_size
    chunks = [slice(start, start + size) for start in range(0, len(asked.ids), size)]
    each = loaded.summarise_each(
        [asked.dialogues[chunk] for chunk in chunks], batch_size=batch_size
    )
    for chunk, written in zip(chunks, each, strict=True):
        files.add(asked.ids[chunk], asked.part, written.texts)
        files.num_cut += int(written.is_cut.sum())


class Files:
    """Writes summaries to Parquet and to a CSV for submission, and counts."""

    def __init__(self, out: Path, columns: ColumnNames) -> None:
        self._stack = ExitStack()
        self._names = [columns.id or ID, columns.summary]
        submission = pa.schema([(name, pa.string()) for name in self._names])
        self._parquet = self._stack.enter_context(pq.ParquetWriter(out / PREDICTIONS, SCHEMA))
        self._csv = self._stack.enter_context(csv.CSVWriter(out / SUBMISSION, submission))
        self.num_rows = self.num_empty = self.num_cut = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def add(self, ids: Sequence[str], part: str, summaries: Sequence[str]) -> None:
        parts = [part] * len(ids)
        table = pa.table([list(ids), parts, list(summaries)], schema=SCHEMA)
        self._parquet.write_table(table)
        self._csv.write_table(table.select([ID, SUMMARY]).rename_columns(self._names))
        self.num_rows += len(ids)
        self.num_empty += sum(not text for text in summaries)


def _headline(asked: Asked, counts: dict[str, int]) -> list[str]:
    of = "new dialogues" if asked.part == NEW else f"dialogues of {asked.part}"
    lines = [f"{counts['rows']} {of} summarised"]
    if empty := asked.found.get("rows_empty"):
        lines.append(f"{empty} rows without a dialogue were left out (on_empty=drop)")
    if counts["empty_summaries"]:
        lines.append(f"{counts['empty_summaries']} summaries are empty")
    if counts["cut"]:
        lines.append(f"{counts['cut']} summaries had not ended at generation.max_new_tokens")
    return [*lines, *asked.found.get("warnings", ())]
