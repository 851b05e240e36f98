"""Rows in the order of user, time and file: sorted, duplicates and short users left out, written.

Users are numbered by now, so a range of users is a piece that fits in memory; two pieces are
sorted while one is written. Where user, time and item fit in 63 bits, which is nearly always, a
row is one 64-bit word: the database packs the words, numpy sorts them (many times faster than a
sort of rows), and everything is read off the sorted words. Only rows of one user and one time are
then still to be put in file order. Where they do not fit, the database sorts. Of many pieces, the
rows are laid apart first (scatter).

Legend: R rows of a piece, U users of it.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seqtune.contracts.columns import ITEM, TIME, USER

from .engine import disk_errors, fill
from .scatter import Scattered
from .words import Int64, Layout, UserRange

PIECE_ROWS = 1 << 22
MIN_PIECE_ROWS = 1 << 20
ROW_GROUP = 1 << 20
NUM_WORKERS = 2
MANY = 1000
"""Users with ties, from which on it is no use to name them one by one."""
MANY_PIECES = 12
"""From which on rows are laid apart once, and not looked for by each piece."""

Int32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

SCHEMA = pa.schema([(USER, pa.int32()), (ITEM, pa.int32()), (TIME, pa.int64())])


@dataclass(frozen=True)
class Rules:
    """What is left out."""

    min_interactions: int
    find_duplicates: bool
    drop_duplicates: bool


@dataclass(frozen=True)
class Sorted:
    """The rows of a piece by user, time and file."""

    lengths: Int64  # [U]
    items: Int32  # [R]
    times: Int64  # [R]
    num_duplicates: int


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


def pieces(
    connection: duckdb.DuckDBPyConnection,
    ranges: Sequence[UserRange],
    layout: Layout,
    rules: Rules,
    *,
    temporary: Path,
) -> Iterator[Piece]:
    """The pieces in order, each worked on while those before it are in use."""
    scattered = _scattered(connection, ranges, layout, temporary)

    def make(users: UserRange) -> Piece:
        with disk_errors(), connection.cursor() as cursor:
            if scattered is not None:
                rows = sort_scattered(scattered, users, layout, rules)
                scattered.forget(users)
            elif layout.fits(users):
                rows = sort_words(cursor, users, layout, rules)
            else:
                rows = sort_rows(cursor, users, layout, rules)
            return leave_out(rows, users, rules)

    return _ahead(make, ranges)


def _scattered(
    connection: duckdb.DuckDBPyConnection,
    ranges: Sequence[UserRange],
    layout: Layout,
    temporary: Path,
) -> Scattered | None:
    """The rows laid apart, where there are many pieces."""
    if len(ranges) < MANY_PIECES or not all(map(layout.fits, ranges)):
        return None
    scattered = Scattered(Path(tempfile.mkdtemp(prefix="pieces-", dir=temporary)))
    with disk_errors():
        scattered.write(connection, ranges, layout)
    return scattered


def _ahead(make: Callable[[UserRange], Piece], ranges: Sequence[UserRange]) -> Iterator[Piece]:
    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        waiting: deque[Future[Piece]] = deque()
        for users in ranges:
            waiting.append(pool.submit(make, users))
            if len(waiting) > NUM_WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def sort_words(
    cursor: duckdb.DuckDBPyConnection, users: UserRange, layout: Layout, rules: Rules
) -> Sorted:
    """Sort one word a row, which the database finds and packs."""
    query = fill(
        "SELECT (CAST(user - ($user) AS BIGINT) << $shift) | $rest AS word "
        "FROM numbered WHERE $range",
        user=users.first,
        shift=layout.user_shift,
        rest=layout.rest,
        range=users.condition,
    )
    words = _fetch_words(cursor, query, users.num_rows)
    ask = partial(_items_in_file_order, cursor, users, layout, rules)
    return _sorted(words, users, layout, rules, items_in_file_order=ask)


def sort_scattered(scattered: Scattered, users: UserRange, layout: Layout, rules: Rules) -> Sorted:
    """The same with words that were laid apart before."""

    def look(tied: Int64) -> Int32:
        words = scattered.words(users)
        found = _places_of(words, tied, shift=layout.item_bits)
        words, places = words[found], scattered.places(users)[found]
        if rules.drop_duplicates:
            order = np.lexsort((places, words))
            words, places = words[order], places[order]
            first = np.concatenate([[True], words[1:] != words[:-1]])
            words, places = words[first], places[first]
        order = np.lexsort((places, words >> layout.item_bits))
        return _items(words[order], layout)

    words = scattered.words(users)
    return _sorted(words, users, layout, rules, items_in_file_order=look)


def _sorted(
    word: Int64,
    users: UserRange,
    layout: Layout,
    rules: Rules,
    *,
    items_in_file_order: Callable[[Int64], Int32],
) -> Sorted:
    """`items_in_file_order`: of the rows that have one of these users and times (words without
    their items, sorted), by user, time and row."""
    word.sort()
    num_duplicates = 0
    if rules.find_duplicates:
        again = word[1:] == word[:-1]
        num_duplicates = int(np.count_nonzero(again))
        if num_duplicates and rules.drop_duplicates:
            word = word[np.concatenate([[True], ~again])]
    first_words = np.arange(users.num) << layout.user_shift
    lengths = np.diff(np.searchsorted(word, first_words), append=len(word))
    items = _items(word, layout)
    word >>= layout.item_bits
    tied = _neighbours(word[1:] == word[:-1])
    if len(tied):
        items[tied] = items_in_file_order(np.unique(word[tied]))
    word &= (1 << layout.time_bits) - 1
    word *= layout.time_unit
    word += layout.first_time
    return Sorted(lengths, items, word, num_duplicates)


def _places_of(words: Int64, keys: Int64, *, shift: int) -> Int64:
    """Where one of the keys (sorted) stands, looked for in a part of the words at a time."""
    found = []
    for begin in range(0, len(words), MIN_PIECE_ROWS):
        part = words[begin : begin + MIN_PIECE_ROWS] >> shift
        nearest = np.searchsorted(keys, part).clip(max=len(keys) - 1)
        found.append(begin + np.flatnonzero(keys[nearest] == part))
    return np.concatenate(found)


def _items(word: Int64, layout: Layout) -> Int32:
    return (word & ((1 << layout.item_bits) - 1)).astype(np.int32)


def _fetch_words(cursor: duckdb.DuckDBPyConnection, query: str, num_rows: int) -> Int64:
    """The words of a query, without a second copy of them in the database."""
    words = np.empty(num_rows, dtype=np.int64)
    filled = 0
    for batch in cursor.sql(query).to_arrow_reader():
        part = batch.column(0).to_numpy()
        words[filled : filled + len(part)] = part
        filled += len(part)
    return words[:filled]


def _neighbours(same: Bool) -> Int64:
    """Positions of rows that equal the one before or after, given which equal the one before."""
    if not same.any():
        return np.empty(0, dtype=np.int64)
    none = [False]
    return np.flatnonzero(np.concatenate([none, same]) | np.concatenate([same, none]))


def _items_in_file_order(
    cursor: duckdb.DuckDBPyConnection, users: UserRange, layout: Layout, rules: Rules, tied: Int64
) -> Int32:
    """Ask the database for the rows of some users at some times."""
    user = (tied >> layout.time_bits) + users.first
    time = (tied & ((1 << layout.time_bits) - 1)) * layout.time_unit + layout.first_time
    cursor.register("tied", pa.table({"user": user, "time": time}))
    names = np.unique(user)
    query = fill(
        "SELECT item FROM numbered WHERE $range AND $users "
        "AND (user, time) IN (SELECT user, time FROM tied) $distinct ORDER BY user, time, $row",
        range=users.condition,
        users=f"user IN ({', '.join(map(str, names))})" if len(names) < MANY else "true",
        distinct="GROUP BY user, time, item" if rules.drop_duplicates else "",
        row="min(row)" if rules.drop_duplicates else "row",
    )
    items: Int32 = arrays(cursor.execute(query))["item"]
    cursor.unregister("tied")
    return items


def sort_rows(
    cursor: duckdb.DuckDBPyConnection, users: UserRange, layout: Layout, rules: Rules
) -> Sorted:
    """Let the database sort: for times so fine that a word does not hold them."""
    del layout
    query = fill(
        "SELECT user - $user AS user, item, time FROM numbered WHERE $range "
        "ORDER BY user, time, row",
        user=users.first,
        range=users.condition,
    )
    rows = arrays(cursor.execute(query))
    user, item, time = rows["user"].astype(np.int64), rows["item"], rows["time"]
    repeated = _repeated(user, item, time) if rules.find_duplicates else np.empty(0, np.int64)
    if rules.drop_duplicates:
        user, item, time = (np.delete(column, repeated) for column in (user, item, time))
    lengths = np.bincount(user, minlength=users.num)
    return Sorted(lengths, item, time, len(repeated))


def _repeated(user: Int64, item: Int32, time: Int64) -> Int64:
    """Positions of rows (sorted by user, time) equal to an earlier one in all three."""
    same = (time[1:] == time[:-1]) & (user[1:] == user[:-1])
    tied = _neighbours(same)
    group = np.cumsum(np.concatenate([[True], ~same]))[tied]
    by_item = np.lexsort((item[tied], group))  # stable: earlier rows first
    group, items = group[by_item], item[tied][by_item]
    again = (group[1:] == group[:-1]) & (items[1:] == items[:-1])
    repeated: Int64 = tied[by_item[1:][again]]
    return repeated


def leave_out(rows: Sorted, users: UserRange, rules: Rules) -> Piece:
    """Leave out the users that are too short."""
    items, times = rows.items, rows.times
    is_long = rows.lengths >= rules.min_interactions
    if not is_long.all():
        keep = np.repeat(is_long, rows.lengths)
        items, times = items[keep], times[keep]
    kept = np.flatnonzero(is_long)
    return Piece(
        users=(kept + users.first).astype(np.int32),
        lengths=rows.lengths[kept],
        items=items,
        times=times,
        all_lengths=rows.lengths,
        num_duplicates=rows.num_duplicates,
    )


def cut_users(
    num_rows: Int64, *, layout: Layout, piece_rows: int, condition: Callable[[int, int], str]
) -> list[UserRange]:
    """Ranges of about `piece_rows` rows, or fewer where that makes a row fit in a word.

    `num_rows` is by user; `condition` gives the SQL for users first..last.
    """
    ranges = [
        UserRange(first, last, int(num_rows[first : last + 1].sum()), condition(first, last))
        for first, last in user_ranges(num_rows, piece_rows=piece_rows)
    ]
    if piece_rows > MIN_PIECE_ROWS and not all(map(layout.fits, ranges)):
        return cut_users(num_rows, layout=layout, piece_rows=piece_rows // 2, condition=condition)
    return ranges


def user_ranges(num_rows: Int64, *, piece_rows: int) -> list[tuple[int, int]]:
    """First and last user of pieces of about `piece_rows` rows."""
    ends = np.cumsum(num_rows)
    marks = np.arange(piece_rows, ends[-1] + piece_rows, piece_rows)
    cuts = np.concatenate([[0], np.searchsorted(ends, marks) + 1]).clip(max=len(num_rows))
    return [(int(first), int(last) - 1) for first, last in pairwise(np.unique(cuts))]


def arrays(result: duckdb.DuckDBPyConnection) -> dict[str, npt.NDArray[Any]]:
    """The columns of a result without nulls."""
    return cast("dict[str, npt.NDArray[Any]]", result.fetchnumpy())


class InteractionsWriter:
    """Writes pieces to Parquet; users are numbered anew, without the gaps of the short ones."""

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
    """Sorted columns as differences: smaller than compressed, and several times faster.

    Nobody looks for values in this file, so there are no statistics in it.
    """
    return pq.ParquetWriter(
        path,
        SCHEMA,
        use_dictionary=False,
        compression="none",
        write_statistics=False,
        column_encoding={USER: "DELTA_BINARY_PACKED", ITEM: "PLAIN", TIME: "DELTA_BINARY_PACKED"},
    )


def count_items(path: Path, num_items: int) -> Int64:
    """How often each item 0..num_items occurs in the file."""
    counts = np.zeros(num_items + 1, dtype=np.int64)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP, columns=[ITEM]):
            counts += np.bincount(batch.column(ITEM).to_numpy(), minlength=len(counts))
    return counts


def renumber_items(path: Path, numbers: Int32, *, temporary: Path) -> None:
    """Rewrite the file with other item numbers: some items went with the rows left out."""
    target = temporary / "renumbered.parquet"
    with parquet_writer(target) as writer, pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            item = numbers[batch.column(ITEM).to_numpy()]
            writer.write_table(
                pa.table([batch.column(USER), item, batch.column(TIME)], schema=SCHEMA)
            )
    target.replace(path)
