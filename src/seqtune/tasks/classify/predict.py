"""Predict labels of valid and test, or of new files, and write them as they are computed.

predictions.parquet    id, part (for texts of the split), text, p(label) and label for each label
submission.csv         id, and 0 or 1 for each label

Every row of a new file is predicted; empty texts are scored and counted, other values refused.
Memory is bounded by a chunk of new texts. Shapes: N texts of a chunk, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from seqtune.batching import NO_CHUNKS, store_chunks
from seqtune.core.errors import DataError
from seqtune.core.execution import ParallelMap, map_serially
from seqtune.core.task import Report
from seqtune.inference import PredictionFiles
from seqtune.text.split import Part

from .data import ID, TEXT, ClassifyData
from .decisions import HELD_OUT, Decisions
from .ensemble import describe_model
from .params import PredictConfig
from .reading import NEW_SCHEMA, NewTexts
from .thresholds import HALF, AnyArray, Floats
from .windows import LogitParts, assemble, windows_of

PART = "part"
CHUNK_BATCHES = 16
"""Batches scored together; new texts are bucketed by length within them, then put back in order."""


def predict(
    checkpoint: Path,
    data: ClassifyData,
    settings: PredictConfig,
    *,
    new_rows: tuple[Path, ...],
    out: Path,
    spread: ParallelMap = map_serially,
) -> Report:
    """Predict labels of valid and test, or of new rows, by a checkpoint or an ensemble."""
    info = describe_model(checkpoint, settings.weights)
    info.require_labels(data)
    reader, texts = NewTexts(info.config.ingest), NO_CHUNKS
    probabilities: dict[Part, Floats] = {}
    decisions = Decisions(info, data, probabilities.__getitem__)
    parts = [] if new_rows else held_out(data)
    with ExitStack() as stack:
        if new_rows:
            chunks = reader.chunks(new_rows, CHUNK_BATCHES * settings.batch_size)
            texts = stack.enter_context(store_chunks(chunks, NEW_SCHEMA, scratch=out))
        decides = settings.thresholds == "auto" and decisions.finds_thresholds
        needed = parts or (HELD_OUT[:1] if decides else ())
        windows = windows_of(info, data, needed, num_batches=CHUNK_BATCHES)
        work = LogitParts(checkpoint, data, settings, windows, texts)
        found = spread(work, len(work))
        probabilities |= assemble(info, data, windows, found)
        thresholds, found_by = choose_thresholds(decisions, settings)
        writer = stack.enter_context(LabelWriter(out, data.labels, thresholds, settings))
        for part in parts:
            writer.add(data.table(part), probabilities[part], part=part)
        for chunk, answer in zip(texts, found, strict=True):
            writer.add(chunk, info.combined(answer.logits))
    return {
        "headline": [
            f"{writer.num_rows} texts, {writer.given.sum()} labels given ({found_by})",
            *reader.warnings(),
        ],
        **info.identity(),
        "texts_from": [str(path) for path in new_rows or (data.path,)],
        **writer.counts(),
        "thresholds": dict(zip(data.labels, thresholds.tolist(), strict=True)),
        "thresholds_from": found_by,
    }


def choose_thresholds(decisions: Decisions, settings: PredictConfig) -> tuple[Floats, str]:
    """Return the threshold of each label [L], and where it comes from."""
    if settings.thresholds == "half":
        return np.full(len(decisions.data.labels), HALF), "threshold 0.5, as configured"
    if not decisions.has_thresholds:
        return decisions.thresholds, "threshold 0.5: no valid part to tune others on"
    found_by = "of the ensemble" if decisions.model.ensemble else "tuned on valid"
    return decisions.thresholds, f"thresholds {found_by}"


def held_out(data: ClassifyData) -> list[Part]:
    """Return the held-out parts of a split."""
    found = [part for part in HELD_OUT if data.num_rows(part)]
    if not found:
        raise DataError(
            f"{data.path} has neither valid nor test rows, and there are no new texts; give a file "
            "of new texts (classify.new_rows in the catalog)"
        )
    return found


class LabelWriter(PredictionFiles):
    """Writes decisions to Parquet and to a CSV for submission, and counts them."""

    def __init__(
        self, out: Path, labels: Sequence[str], thresholds: Floats, settings: PredictConfig
    ) -> None:
        super().__init__(out, escape_formulas=settings.escape_formulas)
        self._labels, self._thresholds = labels, thresholds
        self._id, self._part, self._text = (_unused_name(n, labels) for n in (ID, PART, TEXT))
        self.num_rows = 0
        self.num_without = 0
        self.given = np.zeros(len(labels), np.int64)

    def add(
        self, texts: pa.Table | pa.RecordBatch, probabilities: Floats, *, part: Part | None = None
    ) -> None:
        """Write texts, of a part of the split or new ones, with their probabilities [N, L]."""
        given = probabilities >= self._thresholds
        ids = {self._id: texts[ID]}
        parts = {self._part: pa.array([part] * len(given))} if part else {}
        decisions = _columns(self._labels, given.astype(np.int8))
        scores = _columns([f"p({label})" for label in self._labels], probabilities)
        table = pa.table({**ids, **parts, self._text: texts[TEXT], **scores, **decisions})
        self.write(table, pa.table({**ids, **decisions}))
        self.num_rows += len(given)
        self.num_without += int((~given.any(axis=1)).sum())
        self.given += given.sum(axis=0)

    def counts(self) -> Report:
        return {
            "rows": self.num_rows,
            "labels_given": dict(zip(self._labels, self.given.tolist(), strict=True)),
            "without_labels": self.num_without,
        }


def _columns(names: Sequence[str], values: AnyArray) -> dict[str, pa.Array]:
    return {name: pa.array(np.ascontiguousarray(values[:, n])) for n, name in enumerate(names)}


def _unused_name(name: str, labels: Sequence[str]) -> str:
    """Return a column name that is not a label."""
    while name in labels:
        name += "_"
    return name
