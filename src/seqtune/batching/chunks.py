"""Rows in an Arrow file, read chunk by chunk."""

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
    """The chunks of a file, which is memory-mapped at each access, so that this can be pickled."""

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
def store_chunks(
    chunks: Iterable[pa.RecordBatch], schema: pa.Schema, *, scratch: Path
) -> Iterator[Chunks]:
    """Write chunks to a temporary file, so that they can be read more than once."""
    with tempfile.TemporaryDirectory(prefix=".chunks-", dir=scratch) as folder:
        path, num_chunks = Path(folder) / FILE, 0
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for chunk in chunks:
                writer.write_batch(chunk)
                num_chunks += 1
        yield Chunks(path, num_chunks)
