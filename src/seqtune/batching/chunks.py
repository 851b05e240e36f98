"""Rows in a file of Arrow, a chunk at a time: whoever wants chunk n reads chunk n alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

FILE = "chunks.arrow"


@dataclass(frozen=True)
class Chunks:
    """Such a file; memory-mapped whenever a chunk is asked for, so that it can go anywhere."""

    path: Path
    num_chunks: int

    def __len__(self) -> int:
        return self.num_chunks

    def __getitem__(self, number: int) -> pa.RecordBatch:
        return pa.ipc.open_file(pa.memory_map(str(self.path))).get_batch(number)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return map(self.__getitem__, range(self.num_chunks))


NO_CHUNKS = Chunks(Path(), 0)


@contextmanager
def kept(chunks: Iterable[pa.RecordBatch], schema: pa.Schema, *, scratch: Path) -> Iterator[Chunks]:
    """Chunks that come once, in a file that lasts as long as this."""
    with tempfile.TemporaryDirectory(prefix=".chunks-", dir=scratch) as folder:
        path, num_chunks = Path(folder) / FILE, 0
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for chunk in chunks:
                writer.write_batch(chunk)
                num_chunks += 1
        yield Chunks(path, num_chunks)
