"""Labels for texts, written as they are made: those of valid and test, or those of new files.

predictions.parquet    id, part (of texts of the split), text, p(label) and label for each label
submission.csv         id, and 0 or 1 for each label

Every row of a new file gets an answer: a text that is none is an error, an empty one is scored like
any other and counted. Memory is bounded by a chunk of new texts.

Shapes: N texts of a chunk, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from seqtune.contracts.errors import DataError
from seqtune.contracts.task import Report
from seqtune.text.rows import Cleaner, Faults, says_something
from seqtune.text.split import Part
from seqtune.text.tables import Row, read_rows

from .data import ID, TEXT, ClassifyData
from .deciding import HELD_OUT, Decided
from .ensemble import open_model
from .params import IngestConfig, PredictConfig
from .reading import COLUMNS_KEY, is_text, require_named
from .thresholds import HALF, Anything, Floats

PREDICTIONS = "predictions.parquet"
SUBMISSION = "submission.csv"
PART = "part"
CHUNK_BATCHES = 16
"""Batches of texts that are bucketed by length together and then put back in order."""


@dataclass(frozen=True)
class Chunk:
    """Some texts."""

    ids: Sequence[str]
    texts: Sequence[str]
    part: Part | None
    """Of the split; None where they are new."""


def predict(
    checkpoint: Path,
    data: ClassifyData,
    settings: PredictConfig,
    *,
    new_rows: tuple[Path, ...],
    out: Path,
) -> Report:
    """Labels for the texts of valid and test, or for those of the files of new rows instead.

    `checkpoint` may be the folder of an ensemble.
    """
    opened = open_model(checkpoint, settings.weights)
    opened.require_labels(data)
    decided, reader = Decided(opened, data), NewTexts(opened.config.ingest)
    thresholds, found_by = choose_thresholds(decided, settings)
    with Writer(out, data.labels, thresholds) as writer:
        if new_rows:
            for chunk in reader.chunks(new_rows, CHUNK_BATCHES * settings.batch_size):
                found = opened.probabilities(chunk.texts, batch_size=settings.batch_size)
                writer.add(chunk, found)
        else:
            for part in held_out(data):
                writer.add(known_texts(data, part), decided.probabilities(part))
    given = dict(zip(data.labels, writer.given.tolist(), strict=True))
    return {
        "headline": [
            f"{writer.num_rows} texts, {sum(given.values())} labels given ({found_by})",
            *reader.warnings(),
        ],
        **opened.identity,
        "texts_from": [str(path) for path in new_rows or (data.path,)],
        "rows": writer.num_rows,
        "labels_given": given,
        "without_labels": writer.num_without,
        "thresholds": dict(zip(data.labels, thresholds.tolist(), strict=True)),
        "thresholds_from": found_by,
    }


def choose_thresholds(decided: Decided, settings: PredictConfig) -> tuple[Floats, str]:
    """Of each label [L], and where they are from."""
    if settings.thresholds == "half":
        return np.full(len(decided.data.labels), HALF), "threshold 0.5, as asked for"
    if not decided.has_thresholds:
        return decided.thresholds, "threshold 0.5: there is no valid part to find others on"
    is_decided = decided.opened.is_decided
    return decided.thresholds, f"thresholds {'of the ensemble' if is_decided else 'found on valid'}"


def held_out(data: ClassifyData) -> list[Part]:
    """The parts of a split that were not trained on."""
    found = [part for part in HELD_OUT if data.num_rows(part)]
    if not found:
        raise DataError(
            f"{data.path} holds nothing out, and there are no new texts: give a file of them "
            "(classify.new_rows in the catalog)"
        )
    return found


def known_texts(data: ClassifyData, part: Part) -> Chunk:
    table = data.table(part)
    return Chunk(table[ID].to_pylist(), table[TEXT].to_pylist(), part)


@dataclass
class NewTexts:
    """Reads files of texts that need no labels, and counts what is odd about them."""

    config: IngestConfig
    clean: Cleaner = field(init=False)
    num_rows: int = 0
    num_empty: int = 0

    def __post_init__(self) -> None:
        self.clean = Cleaner("texts", self.config.max_characters)

    def chunks(self, files: Sequence[Path], size: int) -> Iterator[Chunk]:
        """All texts of the files; refuses the first chunk with a row that cannot be answered."""
        rows = iter(read_rows(files, kind=self.config.format, encoding=self.config.encoding))
        while some := list(islice(rows, size)):
            yield self._chunk(some)

    def warnings(self) -> list[str]:
        found = self.clean.warnings()
        if self.num_empty:
            found.append(f"{self.num_empty} texts have no letter or digit and were scored as such")
        return found

    def _chunk(self, rows: Sequence[Row]) -> Chunk:
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
        return Chunk(ids, texts, None)


def _require_id(row: Row, name: str, faults: Faults) -> None:
    if row.values[name] in (None, ""):
        faults.add(
            f"column {name!r} must name each row",
            f"{row.place} holds nothing",
            next_step=f"Correct it, or set {COLUMNS_KEY}.id=null to number the rows",
        )


class Writer:
    """Writes decisions to Parquet and to a CSV for submission, and counts."""

    def __init__(self, out: Path, labels: Sequence[str], thresholds: Floats) -> None:
        self._out, self._labels, self._thresholds = out, labels, thresholds
        self._id, self._part, self._text = (_free(name, labels) for name in (ID, PART, TEXT))
        self._files: tuple[pq.ParquetWriter, csv.CSVWriter] | None = None
        self._stack = ExitStack()
        self.num_rows = 0
        self.num_without = 0
        self.given = np.zeros(len(labels), np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def add(self, chunk: Chunk, probabilities: Floats) -> None:
        """Some texts with their probabilities [N, L]."""
        given = probabilities >= self._thresholds
        ids = {self._id: pa.array(chunk.ids, pa.string())}
        parts = {} if chunk.part is None else {self._part: pa.array([chunk.part] * len(given))}
        decisions = _columns(self._labels, given.astype(np.int8))
        said = _columns([f"p({label})" for label in self._labels], probabilities)
        texts = {self._text: pa.array(chunk.texts, pa.string())}
        table = pa.table({**ids, **parts, **texts, **said, **decisions})
        submitted = pa.table({**ids, **decisions})
        parquet, submission = self._files or self._open(table.schema, submitted.schema)
        parquet.write_table(table)
        submission.write_table(submitted)
        self.num_rows += len(given)
        self.num_without += int((~given.any(axis=1)).sum())
        self.given += given.sum(axis=0)

    def _open(
        self, predictions: pa.Schema, submission: pa.Schema
    ) -> tuple[pq.ParquetWriter, csv.CSVWriter]:
        self._files = (
            self._stack.enter_context(pq.ParquetWriter(self._out / PREDICTIONS, predictions)),
            self._stack.enter_context(csv.CSVWriter(self._out / SUBMISSION, submission)),
        )
        return self._files


def _columns(names: Sequence[str], values: Anything) -> dict[str, pa.Array]:
    return {name: pa.array(np.ascontiguousarray(values[:, n])) for n, name in enumerate(names)}


def _free(name: str, labels: Sequence[str]) -> str:
    """A name that is no label's."""
    while name in labels:
        name += "_"
    return name
