"""Top-K recommendations for everyone, written as they are made.

Users keep their order. Memory is bounded by a chunk of users, whatever their number.

Shapes: U users of a chunk, K length of a list.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from seqtune.contracts.columns import (
    ITEM,
    RANK,
    SCORE,
    SOURCE,
    SOURCE_MODEL,
    SOURCE_POPULAR,
    USER,
    USER_ID,
)
from seqtune.contracts.errors import ArtifactError
from seqtune.contracts.task import Report

from .data import USERS_TABLE, SplitData
from .new_users import open_new_users
from .params import PredictConfig
from .scorer import Scorer, open_model
from .sequences import Chunk, Recommendations, Sequences, Wanted, recommend
from .vocabulary import item_ids, require_order

logger = logging.getLogger(__name__)

PREDICTIONS = "predictions.parquet"
SUBMISSION = "submission.csv"
CHUNK_BATCHES = 16
"""Batches whose users are bucketed by length together and then put back in order."""
SECONDS_BETWEEN_LINES = 20.0
"""How often a long prediction says how far it has got."""


def predict(
    checkpoint: Path,
    data: SplitData,
    settings: PredictConfig,
    *,
    new_rows: tuple[Path, ...],
    out: Path,
) -> Report:
    """Recommend to all users of the split, or to those of the files of new rows instead.

    `checkpoint` may be the folder of an ensemble.
    """
    loaded = open_model(checkpoint, settings.weights)
    loaded.require_assets(data.assets_hash, what=str(data.path))
    size = CHUNK_BATCHES * settings.batch_size
    with ExitStack() as stack:
        found: Report = {}
        chunks = known_users(data, size)
        if new_rows:
            new_users = stack.enter_context(
                open_new_users(new_rows, loaded.config.ingest, data.path, scratch=out)
            )
            found, chunks = new_users.report(), new_users.chunks(size)
        writer = stack.enter_context(Writer(out, item_ids(data.path), top_k=settings.top_k))
        _write_all(loaded, data, settings, chunks, writer)
    return {
        "headline": _headline(settings, writer.counts),
        **_facts(loaded, settings),
        "users_from": [str(path) for path in new_rows or (data.path,)],
        **writer.counts,
        **found,
    }


def _write_all(
    loaded: Scorer,
    data: SplitData,
    settings: PredictConfig,
    chunks: Iterator[Chunk],
    writer: Writer,
) -> None:
    wanted = Wanted(
        top_k=settings.top_k,
        exclude_seen=settings.exclude_seen,
        batch_size=settings.batch_size,
    )
    start = said = time.monotonic()
    for chunk in chunks:
        lists = recommend(loaded, data.train_counts, chunk.sequences, wanted)
        writer.add(chunk.user_ids, lists)
        if (now := time.monotonic()) - said >= SECONDS_BETWEEN_LINES:
            said, users = now, writer.counts["users"]
            logger.info("%d users so far, %.0f a second", users, users / (now - start))


def known_users(data: SplitData, size: int) -> Iterator[Chunk]:
    """The users of a split with their whole sequences, in order."""
    path = data.path / USERS_TABLE
    start = 0
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{path} is missing or damaged ({error}); run `kedro run --pipeline split` again"
        ) from error
    for batch in file.iter_batches(batch_size=size, columns=[USER, USER_ID]):
        require_order(batch[USER], start=start, path=path)
        offsets = np.asarray(data.offsets[start : start + len(batch) + 1])
        items = np.asarray(data.items[offsets[0] : offsets[-1]])
        yield Chunk(batch[USER_ID], Sequences(items, offsets - offsets[0]))
        start += len(batch)


class Writer:
    """Writes lists to Parquet and to a CSV for submission, and counts."""

    def __init__(self, out: Path, ids: pa.Array, *, top_k: int) -> None:
        self._out = out
        self._ids = ids  # [V]
        self._top_k = top_k
        self._files: tuple[pq.ParquetWriter, csv.CSVWriter] | None = None
        self._stack = ExitStack()
        self.counts = {"users": 0, "rows": 0, "cold_users": 0, "short_lists": 0}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def add(self, user_ids: pa.Array, lists: Recommendations) -> None:
        """The lists of some users [U]."""
        listed = lists.items > 0  # [U, K]
        rows, places = np.nonzero(listed)
        sources = pa.array([SOURCE_MODEL, SOURCE_POPULAR])
        table = pa.table(
            {
                USER: user_ids.take(pa.array(rows)),
                ITEM: self._ids.take(pa.array(lists.items[listed] - 1)),
                RANK: pa.array((places + 1).astype(np.int32)),
                SCORE: pa.array(lists.scores[listed]),
                SOURCE: sources.take(pa.array(lists.is_popular[rows].astype(np.int8))),
            }
        )
        parquet, submission = self._files or self._open(table.schema)
        parquet.write_table(table)
        submission.write_table(table.select([USER, ITEM]))
        self.counts["users"] += len(user_ids)
        self.counts["rows"] += len(rows)
        self.counts["cold_users"] += int(lists.is_popular.sum())
        self.counts["short_lists"] += int((listed.sum(axis=1) < self._top_k).sum())

    def _open(self, schema: pa.Schema) -> tuple[pq.ParquetWriter, csv.CSVWriter]:
        columns = pa.schema([schema.field(USER), schema.field(ITEM)])
        self._files = (
            self._stack.enter_context(pq.ParquetWriter(self._out / PREDICTIONS, schema)),
            self._stack.enter_context(csv.CSVWriter(self._out / SUBMISSION, columns)),
        )
        return self._files


def _headline(settings: PredictConfig, counts: Mapping[str, int]) -> list[str]:
    lines = [f"{counts['rows']} recommendations for {counts['users']} users"]
    if cold := counts["cold_users"]:
        lines.append(f"{cold} users without history got the most popular items")
    if short := counts["short_lists"]:
        lines.append(f"{short} lists are shorter than {settings.top_k}: no unseen items were left")
    return lines


def _facts(loaded: Scorer, settings: PredictConfig) -> Report:
    return {
        **loaded.identity(),
        "top_k": settings.top_k,
        "exclude_seen": settings.exclude_seen,
    }
