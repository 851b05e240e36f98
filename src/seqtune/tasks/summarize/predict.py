"""Write predicted summaries as they are generated (those of an ensemble after its last member).

    predictions.parquet    id, part, summary
    submission.csv         id, summary, under the names of the user's columns

Rows keep their order. Dialogues are not repeated: join them by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from seqtune.batching import store_chunks
from seqtune.core.checkpoint import Which
from seqtune.core.errors import DataError
from seqtune.core.execution import ParallelMap, map_serially
from seqtune.core.task import Report
from seqtune.inference import PredictionFiles, select_device
from seqtune.text.split import Part

from .data import DIALOGUE, ID, SummarizeData
from .decoder import GeneratedTexts
from .ensemble import SummarizerEnsemble, describe_model
from .loading import load_summarizer
from .params import ColumnNames, PredictConfig
from .reading import NEW_SCHEMA, read_new_dialogues
from .scorer import log_progress

PART, SUMMARY = "part", "summary"
NEW = "new"
CHUNK_BATCHES = 16
"""Batches whose dialogues are sorted by length together."""
SCHEMA = pa.schema([(ID, pa.string()), (PART, pa.string()), (SUMMARY, pa.string())])


class DialogueTables(Protocol):
    """Tables of ids and dialogues, by number; picklable."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> pa.Table | pa.RecordBatch: ...


@dataclass(frozen=True)
class HeldOut:
    """A part of a split, some rows at a time."""

    data: SummarizeData
    part: Part
    size: int

    def __len__(self) -> int:
        return -(-self.data.num_rows(self.part) // self.size)

    def __getitem__(self, number: int) -> pa.Table:
        return self.data.table(self.part).slice(number * self.size, self.size)


@dataclass(frozen=True)
class Request:
    """The dialogues to summarise."""

    part: str
    rows: DialogueTables
    num_rows: int
    found: Report


@dataclass(frozen=True)
class SummaryParts:
    """Summarise chunks with one model, in any process."""

    checkpoint: Path
    which: Which
    accelerator: str
    rows: DialogueTables
    batch_size: int

    def __call__(self) -> Callable[[int], GeneratedTexts]:
        device = str(select_device(None, self.accelerator))
        model = load_summarizer(self.checkpoint, self.which, device=device)

        def make(number: int) -> GeneratedTexts:
            dialogues = self.rows[number][DIALOGUE].to_pylist()
            return model.summarise(dialogues, batch_size=self.batch_size)

        return make


def predict(
    checkpoint: Path,
    data: SummarizeData,
    settings: PredictConfig,
    *,
    new_rows: tuple[Path, ...],
    out: Path,
    spread: ParallelMap = map_serially,
) -> Report:
    """Summarise test (valid if there is none) or files of new rows."""
    info = describe_model(checkpoint, settings.weights)
    info.require_assets(data.assets_hash, what=str(data.path))
    size = CHUNK_BATCHES * settings.batch_size
    with ExitStack() as stack:
        request = (
            stack.enter_context(_new(info, new_rows, scratch=out, size=size))
            if new_rows
            else _held_out(data, size)
        )
        writer = stack.enter_context(SummaryWriter(out, info.config.ingest.columns, settings))
        for number, written in enumerate(_written(info, request, settings, spread)):
            writer.add(request.rows[number][ID].to_pylist(), request.part, written)
    counts = {"rows": writer.num_rows, "empty_summaries": writer.num_empty, "cut": writer.num_cut}
    return {
        "headline": _headline(request, counts),
        **info.identity(),
        "part": request.part,
        "rows_from": [str(path) for path in new_rows or (data.path,)],
        **counts,
        **request.found,
    }


@contextmanager
def _new(
    info: SummarizerEnsemble, new_rows: tuple[Path, ...], *, scratch: Path, size: int
) -> Iterator[Request]:
    read = read_new_dialogues(new_rows, info.config.ingest)
    with store_chunks(read.chunks(size), NEW_SCHEMA, scratch=scratch) as rows:
        yield Request(NEW, rows, len(read.ids), read.report())


def _held_out(data: SummarizeData, size: int) -> Request:
    part: Part = "test" if data.has_test else "valid"
    if not data.num_rows(part):
        raise DataError(
            f"{data.path} holds neither a test nor a valid part to summarise: everything in it is "
            "trained on. Name files of new dialogues, or split with summarize.split.test_share "
            "above 0"
        )
    return Request(part, HeldOut(data, part, size), data.num_rows(part), {})


def _written(
    info: SummarizerEnsemble, request: Request, settings: PredictConfig, spread: ParallelMap
) -> Iterator[GeneratedTexts]:
    """Yield the summaries of all chunks; those of an ensemble when its last member is done."""

    def write_all(checkpoint: Path) -> Iterator[GeneratedTexts]:
        accelerator = info.config.training.accelerator
        opener = SummaryParts(
            checkpoint, settings.weights, accelerator, request.rows, settings.batch_size
        )
        return log_progress(spread(opener, len(request.rows)), request.num_rows)

    if info.ensemble is None:
        return write_all(info.path)
    return info.choose_each([list(write_all(member.path)) for member in info.members.values()])


class SummaryWriter(PredictionFiles):
    """Write summaries, under the user's names in the submission, and count them."""

    def __init__(self, out: Path, columns: ColumnNames, settings: PredictConfig) -> None:
        super().__init__(out, escape_formulas=settings.escape_formulas)
        self._names = [columns.id or ID, columns.summary]
        self.num_rows = self.num_empty = self.num_cut = 0

    def add(self, ids: Sequence[str], part: str, written: GeneratedTexts) -> None:
        table = pa.table([list(ids), [part] * len(ids), written.texts], schema=SCHEMA)
        self.write(table, table.select([ID, SUMMARY]).rename_columns(self._names))
        self.num_rows += len(ids)
        self.num_empty += sum(not text for text in written.texts)
        self.num_cut += int(written.is_cut.sum())


def _headline(request: Request, counts: dict[str, int]) -> list[str]:
    of = "new dialogues" if request.part == NEW else f"dialogues of {request.part}"
    lines = [f"{counts['rows']} {of} summarised"]
    if empty := request.found.get("rows_empty"):
        lines.append(f"{empty} rows without a dialogue were left out (on_empty=drop)")
    if counts["empty_summaries"]:
        lines.append(f"{counts['empty_summaries']} summaries are empty")
    if counts["cut"]:
        lines.append(f"{counts['cut']} summaries had not ended at generation.max_new_tokens")
    return [*lines, *request.found.get("warnings", ())]
