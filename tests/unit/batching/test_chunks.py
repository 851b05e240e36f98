"""Chunks of rows in a file: read one by one, by whoever knows the file."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from seqtune.batching import NO_CHUNKS, store_chunks

SCHEMA = pa.schema([("id", pa.string()), ("items", pa.list_(pa.int32()))])
ROWS = [[("a", [1, 2]), ("b", None)], [("라면", [])], []]


def chunks() -> list[pa.RecordBatch]:
    return [
        pa.record_batch([[name for name, _ in rows], [items for _, items in rows]], schema=SCHEMA)
        for rows in ROWS
    ]


def test_each_chunk_is_read_alone_and_all_in_order(tmp_path: Path) -> None:
    with store_chunks(iter(chunks()), SCHEMA, scratch=tmp_path) as found:
        assert len(found) == 3
        elsewhere = pickle.loads(pickle.dumps(found))
        assert [elsewhere[number] for number in (2, 0, 1)] == [chunks()[n] for n in (2, 0, 1)]
        assert list(found) == chunks()
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_of_chunks_that_could_not_be_made(tmp_path: Path) -> None:
    def broken():
        yield chunks()[0]
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"), store_chunks(broken(), SCHEMA, scratch=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_chunks_are_empty() -> None:
    assert list(NO_CHUNKS) == []
    assert len(NO_CHUNKS) == 0
