"""Rows laid apart by piece, in one pass over all of them.

A few pieces each look for their rows among all, which needs no disk. Many would be as many passes:
from then on, every row goes to the file of its piece as it is read, 16 bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from .engine import fill
from .words import Int64, Layout, UserRange

ROWS_AT_ONCE = 1 << 20
FILES_AT_ONCE = 256
"""Kept open in one pass; with more pieces there are more passes."""


class _Files(NamedTuple):
    words: Path
    places: Path
    """Of each word, the row of the log."""


class Scattered:
    """The rows of every piece, each in files of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def words(self, users: UserRange) -> Int64:
        """In any order."""
        return np.fromfile(self._files(users).words, np.int64)

    def places(self, users: UserRange) -> Int64:
        """The rows of the log that the words stand for; read as far as they are looked at."""
        path = self._files(users).places
        return np.memmap(path, np.int64, "r") if path.stat().st_size else np.empty(0, np.int64)

    def forget(self, users: UserRange) -> None:
        """Give the disk back."""
        for path in self._files(users):
            path.unlink()

    def _files(self, users: UserRange) -> _Files:
        return _Files(*(self._folder / f"{users.first}.{name}" for name in _Files._fields))

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        pieces: Sequence[UserRange],
        layout: Layout,
    ) -> None:
        """Read all rows once for so many pieces."""
        for begin in range(0, len(pieces), FILES_AT_ONCE):
            self._write(connection, pieces[begin : begin + FILES_AT_ONCE], layout)

    def _write(
        self, connection: duckdb.DuckDBPyConnection, pieces: Sequence[UserRange], layout: Layout
    ) -> None:
        first, last = pieces[0].first, pieces[-1].last
        query = fill(
            "SELECT user, $rest AS rest, row FROM numbered WHERE user BETWEEN $first AND $last",
            rest=layout.rest,
            first=first,
            last=last,
        )
        begins = np.array([users.first for users in pieces])
        with ExitStack() as stack:
            files = [
                [stack.enter_context(path.open("wb")) for path in self._files(users)]
                for users in pieces
            ]
            for batch in connection.sql(query).to_arrow_reader(ROWS_AT_ONCE):
                user, rest, row = (column.to_numpy() for column in batch.columns)
                number = np.searchsorted(begins, user, side="right") - 1
                word = ((user - begins[number]) << layout.user_shift) | rest
                for which, rows in _by_piece(number, len(pieces)):
                    _append(files[which], word[rows], row[rows])


def _by_piece(number: Int64, num_pieces: int) -> Iterator[tuple[int, Int64]]:
    """The rows of each piece that has some."""
    order = np.argsort(number.astype(np.uint16), kind="stable")  # small numbers: no comparisons
    ends = np.cumsum(np.bincount(number, minlength=num_pieces))
    for which, rows in enumerate(np.split(order, ends[:-1])):
        if len(rows):
            yield which, rows


def _append(files: Sequence[BinaryIO], *columns: npt.NDArray[np.int64]) -> None:
    for file, column in zip(files, columns, strict=True):
        column.astype(np.int64, copy=False).tofile(file)
