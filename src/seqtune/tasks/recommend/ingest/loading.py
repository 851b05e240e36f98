"""Files -> one DuckDB table in file order: `raw(user_key, item_key, time_raw)`, or a side table.

There are two ways in. Text is loaded as text, and what it means is judged on the whole column.
A file of nothing but whole numbers, the common case of large logs, is parsed as such: a third of
the time. DuckDB's parser is generous (it reads 007, 1.5 and 0x1F as numbers), so that way is
only kept if every byte of the file is accounted for (`is_exact`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from seqtune.contracts.errors import DataError

from ..params import IngestConfig
from .diagnosis import line_numbers, why_unreadable
from .engine import fill, identifier, is_shortage, literal, path_literal
from .sources import Source, head, listed, parquet_relation, records, unreadable_parquet

TIME_RAW = "time_raw"
TEXT = "VARCHAR"
INTEGER = "BIGINT"
SMALL = "INTEGER"
WHOLE = (INTEGER, SMALL)
MAX_SMALL = 2_000_000_000
"""A column that begins below it is read as 32-bit integers (unix seconds are, until 2033)."""
PLAIN_DELIMITERS = (",", "\t", " ", ";")


@dataclass(frozen=True)
class Loaded:
    """A table that was filled, and where its rows came from."""

    table: str
    sources: tuple[Source, ...]
    columns: Mapping[str, str]
    """The table's columns, each with what the files call it."""
    types: Mapping[str, str]
    """DuckDB's types of the table's columns."""
    from_text: bool
    """The types are not the files' own: they are text."""
    starts: tuple[int, ...]
    """First row of each file in the table, and the number of all rows."""

    @property
    def num_rows(self) -> int:
        return self.starts[-1]

    def places(self, rows: Sequence[int]) -> str:
        """Rows of the table, as the user finds them in the files."""
        starts = np.asarray(self.starts)
        parts = []
        for number, source in enumerate(self.sources):
            local = [row - self.starts[number] for row in rows if _file_of(starts, row) == number]
            if local:
                lines = ", ".join(map(str, line_numbers(source, local)))
                unit = "row" if source.format == "parquet" else "line"
                where = f"{source.path}, " if len(self.sources) > 1 else ""
                parts.append(f"{where}{unit}{'s' if len(local) > 1 else ''} {lines}")
        return "; ".join(parts)

    @property
    def paths(self) -> str:
        """The files by name, for messages."""
        first = str(self.sources[0].path)
        return first if len(self.sources) == 1 else f"{first} (and {len(self.sources) - 1} more)"


def _file_of(starts: npt.NDArray[np.int64], row: int) -> int:
    return int(np.searchsorted(starts, row, side="right")) - 1


def load(
    connection: duckdb.DuckDBPyConnection,
    sources: tuple[Source, ...],
    columns: Mapping[str, str],
    config: IngestConfig,
    *,
    table: str,
    plain: Mapping[str, str] | None = None,
) -> Loaded:
    """Fill a table; with `plain`, parse text as whole numbers of these types; DuckDB may raise."""
    types = plain or _types(sources, columns)
    connection.execute(
        fill(
            "CREATE OR REPLACE TABLE $table ($columns)",
            table=table,
            columns=", ".join(f"{column} {kind}" for column, kind in types.items()),
        )
    )
    starts = [0]
    for source in sources:
        fields = (_field(source, name, types[column]) for column, name in columns.items())
        query = fill(
            "INSERT INTO $table SELECT $fields FROM $relation",
            table=table,
            fields=", ".join(fields),
            relation=_relation(source, {columns[key]: kind for key, kind in (plain or {}).items()}),
        )
        try:
            (num_rows,) = connection.execute(query).fetchall()[0]
        except duckdb.Error as error:
            if plain or is_shortage(error):
                raise
            raise _unreadable(source, error, config) from error
        starts.append(starts[-1] + num_rows)
    if starts[-1] == 0:
        raise DataError(
            f"{sources[0].path} has a header ({listed(sources[0].names)}) but no rows; it needs "
            "one row per event"
        )
    from_text = sources[0].format == "csv" and plain is None
    return Loaded(table, sources, columns, types, from_text, tuple(starts))


def _unreadable(source: Source, error: duckdb.Error, config: IngestConfig) -> DataError:
    if source.format == "parquet":
        return unreadable_parquet(source.path, error)
    return why_unreadable(source, error, max_examples=config.max_examples)


def _types(sources: tuple[Source, ...], columns: Mapping[str, str]) -> dict[str, str]:
    if sources[0].format == "csv":
        return dict.fromkeys(columns, TEXT)
    return {column: _parquet_type(sources, name, column) for column, name in columns.items()}


def _parquet_type(sources: tuple[Source, ...], name: str, column: str) -> str:
    """The type in the table of a column of Parquet files, which must agree on it."""
    values = [source.partitions[name] for source in sources if name in source.partitions]
    types = {
        source.types[source.position(name)] for source in sources if name not in source.partitions
    } | ({_partition_type(values)} if values else set())
    stored = {_stored_type(kind, is_time=column == TIME_RAW) for kind in types}
    if None in stored:
        allowed = "numbers, dates, times or text" if column == TIME_RAW else "whole numbers or text"
        raise DataError(
            f"{sources[0].path}: column {name!r} has the type {', '.join(sorted(types))}; allowed "
            f"are {allowed}. Convert the column and write the file again"
        )
    if len(stored) > 1:
        raise DataError(
            f"{sources[0].path} and {len(sources) - 1} more: column {name!r} is of another type in "
            f"some of the files ({', '.join(sorted(types))}); write them with one type"
        )
    return stored.pop() or TEXT


def _partition_type(values: Sequence[str | None]) -> str:
    """Whole numbers where all are; dates stay text, as which a time is judged anyway."""
    return INTEGER if all(value is None or _is_whole(value) for value in values) else TEXT


def _stored_type(kind: str, *, is_time: bool) -> str | None:
    if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"):
        return INTEGER
    if kind == TEXT or (not is_time and kind in ("UBIGINT", "HUGEINT", "UUID")):
        return TEXT
    if kind in ("UBIGINT", "FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return "DOUBLE"
    if is_time and kind in ("DATE", "TIMESTAMP WITH TIME ZONE"):
        return kind
    return "TIMESTAMP" if is_time and kind.startswith("TIMESTAMP") else None


def _field(source: Source, name: str, kind: str) -> str:
    if source.format == "csv":
        return f"c{source.position(name)}"
    value = identifier(name)
    if name in source.partitions:
        text = source.partitions[name]
        value = "NULL" if text is None else literal(text)
    return f"CAST({value} AS {kind})"


def _relation(source: Source, types: Mapping[str, str]) -> str:
    """What to select from; columns that have no type in `types` are text."""
    if source.format == "parquet":
        return parquet_relation(source.readable)
    columns = ", ".join(
        f"'c{position}': '{types.get(name, TEXT)}'" for position, name in enumerate(source.names)
    )
    return fill(
        "read_csv($path, auto_detect=false, delim=$delimiter, quote='\"', escape='\"', "
        "header=$header, skip=$skip, strict_mode=true, columns={$columns})",
        path=path_literal(source.readable),
        delimiter=literal(source.delimiter),
        header=str(source.header).lower(),
        skip=source.num_blank if source.header else 0,
        columns=columns,
    )


def plain_types(
    sources: Sequence[Source], columns: Mapping[str, str], config: IngestConfig
) -> dict[str, str] | None:
    """Types of the columns, if the files seem to hold these and nothing but whole numbers."""
    largest = dict.fromkeys(columns.values(), 0)
    for source in sources:
        if not _may_be_plain(source, tuple(largest), config):
            return None
        lines = head(source.readable)
        rows = list(records(lines[1:] if source.header else lines, source.delimiter))
        if any("\r" in line for line in lines) or not _are_whole(rows):
            return None
        for name, values in zip(source.names, zip(*rows, strict=True), strict=True):
            largest[name] = max(largest[name], *map(int, values))
    return {
        column: SMALL if largest[name] < MAX_SMALL else INTEGER for column, name in columns.items()
    }


def _may_be_plain(source: Source, names: tuple[str, ...], config: IngestConfig) -> bool:
    return (
        source.format == "csv"
        and source.readable == source.path
        and source.num_blank == 0
        and source.delimiter in PLAIN_DELIMITERS
        and sorted(source.names) == sorted(names)
        and config.id_type != "string"
    )


def _are_whole(rows: list[list[str]]) -> bool:
    same_length = len({len(row) for row in rows}) == 1
    return same_length and all(_is_whole(field) for row in rows for field in row)


def _is_whole(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) <= 18 and str(int(field)) == field


def is_exact(loaded: Loaded, *, num_digits: int) -> bool:
    """Whether the files hold the canonical text of the numbers loaded, and not a byte more.

    Any other way to write a number that DuckDB accepts (007, +7, " 7", 7.0, 0b111, "7") takes
    more bytes, except those with a letter from E upwards (1e3, 0x1F): so if no such byte occurs
    and the bytes add up, every field was canonical.
    """
    num_columns = len(loaded.columns)
    expected = num_digits + loaded.num_rows * num_columns  # a delimiter or line end each
    found = 0
    for source in loaded.sources:
        num_bytes = _body_bytes(source)
        if num_bytes is None:
            return False
        found += num_bytes
    return found == expected


def _body_bytes(source: Source) -> int | None:
    """Bytes after the header, a final line end included; None if a byte is too high."""
    with source.readable.open("rb") as file:
        if source.header:
            file.readline()
        num_bytes, last = 0, b"\n"
        while piece := file.read(1 << 22):
            num_bytes += len(piece)
            last = piece[-1:]
            if np.frombuffer(piece, np.uint8).max() >= ord("E"):
                return None
    return num_bytes + (last != b"\n")
