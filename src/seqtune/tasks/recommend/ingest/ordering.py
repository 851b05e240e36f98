"""Sort rows by user, time and row of the file, leave out duplicates and short users, write.

A range of users at a time fits in memory, and nothing is spilled. DuckDB packs each row in a 64-bit
word, which numpy sorts ten times as fast as DuckDB sorts columns; where a row does not fit in a
word, DuckDB sorts.

Legend: R rows of a piece, U users of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seqtune.core.columns import ITEM, TIME, USER

from .engine import disk_errors, fill

PIECE_ROWS = 1 << 22
ROW_GROUP = 1 << 20

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

UserRange = tuple[int, int]
"""First and last user."""

SCHEMA = pa.schema([(USER, pa.int32()), (ITEM, pa.int32()), (TIME, pa.int64())])


@dataclass(frozen=True)
class OrderingRules:
    """What is left out."""

    min_interactions: int
    find_duplicates: bool
    drop_duplicates: bool


@dataclass(frozen=True)
class WordLayout:
    """A row as a number of at most 63 bits: its user within a range, its time, its item."""

    first_time: int
    time_unit: int
    """Every time is `first_time` plus a multiple of it."""
    time_bits: int
    item_bits: int

    def fits(self, users: UserRange) -> bool:
        """Whether the rows of these users fit in words."""
        return (users[1] - users[0]).bit_length() + self.time_bits + self.item_bits <= 63


def find_word_layout(
    connection: duckdb.DuckDBPyConnection, table: str, *, num_items: int
) -> WordLayout:
    """Return the layout with the fewest bits; `table` has the column `time`."""
    query = "SELECT min(time), max(time), if(bool_and(time % $second = 0), $second, 1) FROM $table"
    filled = fill(query, second=1_000_000, table=table)
    first, last, unit = connection.execute(filled).fetchall()[0]
    return WordLayout(first, unit, ((last - first) // unit).bit_length(), num_items.bit_length())


@dataclass(frozen=True)
class Piece:
    """The rows of a range of users, in order, without what was left out."""

    users: Int32  # [U] numbers of the users that are kept
    lengths: Int64  # [U]
    items: Int32  # [R]
    times: Int64  # [R]
    all_lengths: Int64
    """Lengths of all users of the range, short ones too."""
    num_duplicates: int


def cut_users(num_rows: Int64, *, piece_rows: int) -> list[UserRange]:
    """Return ranges of users with about `piece_rows` rows each; `num_rows` is by user."""
    ends = np.cumsum(num_rows)
    marks = np.arange(piece_rows, ends[-1] + piece_rows, piece_rows)
    cuts = np.concatenate([[0], np.searchsorted(ends, marks) + 1]).clip(max=len(num_rows))
    return [(int(first), int(last) - 1) for first, last in pairwise(np.unique(cuts))]


def sort_pieces(
    connection: duckdb.DuckDBPyConnection,
    ranges: Sequence[UserRange],
    layout: WordLayout,
    rules: OrderingRules,
) -> Iterator[Piece]:
    """Yield the pieces in order; the next one is sorted while one is in use."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(sort_users, connection, ranges[0], layout, rules)
        for users in ranges[1:]:
            piece = following.result()
            following = pool.submit(sort_users, connection, users, layout, rules)
            yield piece
        yield following.result()


def sort_users(
    connection: duckdb.DuckDBPyConnection,
    users: UserRange,
    layout: WordLayout,
    rules: OrderingRules,
) -> Piece:
    """Return the rows of some users from the table `numbered(user, item, time, row)`."""
    first, last = users
    with disk_errors(), connection.cursor() as cursor:
        if layout.fits(users):
            user, item, time = _sort_words(cursor, users, layout)
        else:
            user, item, time = _sort_columns(cursor, users)
    num_duplicates = 0
    if rules.find_duplicates:
        repeats = find_repeats(user, item, time)
        num_duplicates = len(repeats)
        if num_duplicates and rules.drop_duplicates:
            is_kept = np.ones(len(user), np.bool_)
            is_kept[repeats] = False
            user, item, time = user[is_kept], item[is_kept], time[is_kept]
    lengths = np.diff(np.searchsorted(user, np.arange(first, last + 2, dtype=user.dtype)))
    is_long = lengths >= rules.min_interactions
    if not is_long.all():
        keep = np.repeat(is_long, lengths)
        item, time = item[keep], time[keep]
    kept = np.flatnonzero(is_long)
    return Piece(
        (kept + first).astype(np.int32), lengths[kept], item, time, lengths, num_duplicates
    )


def _sort_words(
    cursor: duckdb.DuckDBPyConnection, users: UserRange, layout: WordLayout
) -> tuple[Int32, Int32, Int64]:
    first, last = users
    item_bits, user_shift = layout.item_bits, layout.time_bits + layout.item_bits
    query = fill(
        "SELECT (CAST(user - $first AS BIGINT) << $user_shift) | "
        "(((time - ($first_time)) // $unit) << $item_bits) | item AS word, row "
        "FROM numbered WHERE user BETWEEN $first AND $last",
        first=first,
        last=last,
        user_shift=user_shift,
        first_time=layout.first_time,
        unit=layout.time_unit,
        item_bits=item_bits,
    )
    rows = cursor.sql(query).to_arrow_table()
    unsorted, row = (column.to_numpy() for column in rows.columns)
    word = np.sort(unsorted)
    time = word >> item_bits
    is_tied = np.zeros(last - first + 1, dtype=np.bool_)
    is_tied[time[1:][time[1:] == time[:-1]] >> layout.time_bits] = True
    if is_tied.any():  # rows of one user and time are in the order of their items
        chosen = np.flatnonzero(is_tied[unsorted >> user_shift])
        tied = unsorted[chosen]
        word[is_tied[word >> user_shift]] = tied[np.lexsort((row[chosen], tied >> item_bits))]
    time &= (1 << layout.time_bits) - 1
    time *= layout.time_unit
    time += layout.first_time
    user = ((word >> user_shift) + first).astype(np.int32)
    return user, (word & ((1 << item_bits) - 1)).astype(np.int32), time


def _sort_columns(
    cursor: duckdb.DuckDBPyConnection, users: UserRange
) -> tuple[Int32, Int32, Int64]:
    query = (
        "SELECT user, item, time FROM numbered WHERE user BETWEEN ? AND ? ORDER BY user, time, row"
    )
    rows = cursor.sql(query, params=list(users)).to_arrow_table()
    user, item, time = (column.to_numpy() for column in rows.columns)
    return user, item, time


def find_repeats(user: Int32, item: Int32, time: Int64) -> Int64:
    """Return the positions of rows (sorted by user, time) that repeat an earlier row."""
    is_first = np.append(True, (time[1:] != time[:-1]) | (user[1:] != user[:-1]))
    tied = np.flatnonzero(~is_first | ~np.append(is_first[1:], True))
    group = np.cumsum(is_first[tied])
    by_item = np.lexsort((item[tied], group))  # stable: earlier rows first
    group, items = group[by_item], item[tied][by_item]
    is_repeat = (group[1:] == group[:-1]) & (items[1:] == items[:-1])
    repeats: Int64 = tied[by_item[1:][is_repeat]]
    return repeats


class InteractionsWriter:
    """Write pieces to Parquet; users are numbered anew, without the gaps of the short ones."""

    def __init__(self, path: Path) -> None:
        self._writer = parquet_writer(path)
        self._num_users = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def write(self, piece: Piece) -> None:
        numbers = np.arange(self._num_users, self._num_users + len(piece.users), dtype=np.int32)
        self._num_users += len(piece.users)
        user = np.repeat(numbers, piece.lengths)
        table = pa.table([user, piece.items, piece.times], schema=SCHEMA)
        self._writer.write_table(table, row_group_size=ROW_GROUP)


def parquet_writer(path: Path) -> pq.ParquetWriter:
    """Store sorted columns as differences: smaller than compressed, and several times faster."""
    return pq.ParquetWriter(
        path,
        SCHEMA,
        use_dictionary=False,
        compression="none",
        write_statistics=False,
        column_encoding={USER: "DELTA_BINARY_PACKED", ITEM: "PLAIN", TIME: "DELTA_BINARY_PACKED"},
    )


def renumber_items(path: Path, numbers: Int32, *, temporary: Path) -> None:
    """Rewrite the file without gaps in the item numbers: some items have no rows left."""
    target = temporary / "renumbered.parquet"
    with parquet_writer(target) as writer, pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            user, item, time = batch.columns
            writer.write_table(pa.table([user, numbers[item.to_numpy()], time], schema=SCHEMA))
    target.replace(path)
