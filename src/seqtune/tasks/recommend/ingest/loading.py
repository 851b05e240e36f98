"""Load files into one DuckDB table in file order: `raw(user_key, item_key, time_raw)`, or a side.

Text stays text until the whole column is known; only a log of nothing but whole numbers is read as
numbers (see numerals.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import duckdb

from seqtune.core.errors import DataError

from ..params import IngestConfig
from .diagnosis import line_numbers, why_unreadable
from .engine import fill, identifier, is_shortage, literal, path_literal
from .numerals import INTEGER
from .sources import Source, listed, parquet_relation, unreadable_parquet

TIME_RAW = "time_raw"
TEXT = "VARCHAR"
INVISIBLE = "\u00a0\u202f\u00ad\u200b\u200e\u200f\u2060\ufeff"
"""Two spaces that do not break, which become plain ones; then characters without any width."""


@dataclass(frozen=True)
class Loaded:
    """A table, and the files that its rows come from."""

    table: str
    sources: tuple[Source, ...]
    columns: Mapping[str, str]
    """The table's columns, each with its name in the files."""
    types: Mapping[str, str]
    """DuckDB's types of the table's columns."""
    from_text: bool
    """The files are text without types."""
    starts: tuple[int, ...]
    """First row of each file in the table, and the number of all rows."""

    @property
    def num_rows(self) -> int:
        return self.starts[-1]

    def places(self, rows: Sequence[int]) -> str:
        """Return rows of the table as lines (or rows) of the files."""
        parts = []
        for source, (start, end) in zip(self.sources, pairwise(self.starts), strict=True):
            local = [row - start for row in rows if start <= row < end]
            if local:
                lines = ", ".join(map(str, line_numbers(source, local)))
                unit = "row" if source.format == "parquet" else "line"
                where = f"{source.path}, " if len(self.sources) > 1 else ""
                parts.append(f"{where}{unit}{'s' if len(local) > 1 else ''} {lines}")
        return "; ".join(parts)

    @property
    def paths(self) -> str:
        """The names of the files, for messages."""
        first = str(self.sources[0].path)
        return first if len(self.sources) == 1 else f"{first} (and {len(self.sources) - 1} more)"


def load(
    connection: duckdb.DuckDBPyConnection,
    sources: tuple[Source, ...],
    columns: Mapping[str, str],
    config: IngestConfig,
    *,
    table: str,
    number_types: Mapping[str, str] | None = None,
) -> Loaded:
    """Fill a table; `number_types` are for text that holds whole numbers only."""
    types = number_types or _types(sources, columns)
    fields = ", ".join(f"{column} {kind}" for column, kind in types.items())
    query = fill("CREATE OR REPLACE TABLE $table ($columns)", table=table, columns=fields)
    connection.execute(query)
    starts = [0]
    for source in sources:
        values = (
            _without_null_values(_field(source, name, types[column]), column, types[column], config)
            for column, name in columns.items()
        )
        query = fill(
            "INSERT INTO $table SELECT $fields FROM $relation",
            table=table,
            fields=", ".join(values),
            relation=_relation(source, {columns[key]: kind for key, kind in types.items()}),
        )
        try:
            (num_rows,) = connection.execute(query).fetchall()[0]
        except duckdb.Error as error:
            if is_shortage(error):
                raise
            raise _unreadable(source, error, config) from error
        starts.append(starts[-1] + num_rows)
    if starts[-1] == 0:
        raise DataError(
            f"{sources[0].path} has a header ({listed(sources[0].names)}) but no rows; it needs "
            "one row per event"
        )
    from_text = sources[0].format == "csv" and number_types is None
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
    """Return the type in the table of a column of Parquet files, which must agree on it."""
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
    """Return integer if all values are whole numbers; dates stay text and are parsed later."""
    return INTEGER if all(value is None or _is_whole(value) for value in values) else TEXT


def _is_whole(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) <= 18 and str(int(field)) == field


def _stored_type(kind: str, *, is_time: bool) -> str | None:
    if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"):
        return INTEGER
    if kind == TEXT or (not is_time and kind in ("UBIGINT", "HUGEINT", "UUID")):
        return TEXT
    if kind in ("UBIGINT", "FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return "DOUBLE"
    if is_time and kind == "DATE":
        return kind
    if is_time and kind in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"):
        return "TIMESTAMP WITH TIME ZONE"
    return "TIMESTAMP" if is_time and kind.startswith("TIMESTAMP") else None


def _field(source: Source, name: str, kind: str) -> str:
    if source.format == "csv":
        return f"c{source.position(name)}"
    value = identifier(name)
    if name in source.partitions:
        text = source.partitions[name]
        value = "NULL" if text is None else literal(text)
    return f"CAST({value} AS {kind})"


def _without_null_values(value: str, column: str, kind: str, config: IngestConfig) -> str:
    """Return SQL that turns what stands for an empty field, NaN too, into null."""
    if kind == "DOUBLE":  # DuckDB 2.0 takes isnan for false, as Parquet's statistics know no NaN
        return f"CASE WHEN isfinite({value}) OR isinf({value}) THEN {value} END"
    if kind != TEXT or not column.endswith("_key"):
        return value
    value = normalized(value) if config.normalize_ids else value
    empty = ", ".join(map(literal, ("", *config.null_values)))
    return f"CASE WHEN {value} NOT IN ({empty}) THEN {value} END"


def normalized(text: str) -> str:
    """Return SQL for a text in NFC, without invisible characters and spaces around it."""
    return f"trim(nfc_normalize(translate({text}, {literal(INVISIBLE)}, '  ')))"


def _relation(source: Source, types: Mapping[str, str]) -> str:
    """Return the relation to select from; columns without a type in `types` are text."""
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
