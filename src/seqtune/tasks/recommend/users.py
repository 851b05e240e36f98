"""Users to predict for, in chunks: ids for the writer, histories for the scorer.

Shapes: U users of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqtune.batching import Chunks
from seqtune.core.columns import USER, USER_ID
from seqtune.core.errors import ArtifactError

from .data import USERS_TABLE, SplitData
from .sequences import Sequences
from .vocabulary import require_order

ITEMS = "items"


@dataclass(frozen=True)
class KnownUsers:
    """All users of a split with their whole sequences, in order. Picklable."""

    data: SplitData
    size: int  # of a chunk

    @property
    def num_chunks(self) -> int:
        return -(-self.data.num_users // self.size)

    def ids(self) -> Iterator[pa.Array]:
        """Yield raw user ids by chunk [U]."""
        path = self.data.path / USERS_TABLE
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{path} is missing or damaged ({error}); run `kedro run --pipelines split` again"
            ) from error
        for number, batch in enumerate(file.iter_batches(self.size, columns=[USER, USER_ID])):
            require_order(batch[USER], start=number * self.size, path=path)
            yield batch[USER_ID]

    def start(self, number: int) -> int:
        """Return the position of the first user of a chunk."""
        return number * self.size

    def histories(self, number: int) -> Sequences:
        start = self.start(number)
        offsets = np.asarray(self.data.offsets[start : start + self.size + 1])
        items = np.asarray(self.data.items[offsets[0] : offsets[-1]])
        return Sequences(items, offsets - offsets[0])


@dataclass(frozen=True)
class NewUsers:
    """Users from a file, with their items in order. Picklable."""

    chunks: Chunks  # of ids and lists of items

    @property
    def num_chunks(self) -> int:
        return len(self.chunks)

    def ids(self) -> Iterator[pa.Array]:
        return (chunk[USER_ID] for chunk in self.chunks)

    def start(self, number: int) -> int:
        return sum(len(self.chunks[earlier]) for earlier in range(number))

    def histories(self, number: int) -> Sequences:
        lists = self.chunks[number][ITEMS]
        lengths = np.asarray(lists.value_lengths().fill_null(0))  # null without known items
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Sequences(np.asarray(lists.flatten()).astype(np.int32), offsets)


Users = KnownUsers | NewUsers
