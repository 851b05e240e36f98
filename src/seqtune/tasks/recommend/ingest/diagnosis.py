"""Why a text file could not be read, and on which line a row stands: slow, for errors only."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

import duckdb

from seqtune.core.errors import DataError

from .encodings import bad_offset, wrong_encoding
from .engine import gist
from .sources import LONGEST_FIELD, Source

LONGEST_ROW = 2_000_000
"""Bytes of a row of text, as many as DuckDB reads."""


def line_numbers(source: Source, rows: Sequence[int]) -> list[int]:
    """Return the lines (from 1, header included) on which rows (from 0) begin; of Parquet, rows."""
    if source.format == "parquet":
        return [row + 1 for row in rows]
    wanted = set(rows)
    last = max(rows, default=-1)
    found: dict[int, int] = {}
    for row, (line, _) in enumerate(_records(source)):
        if row in wanted:
            found[row] = line
        if row >= last:
            break
    return [found[row] for row in rows if row in found]


def why_unreadable(source: Source, error: duckdb.Error, *, max_examples: int) -> DataError:
    """Read the file again, slowly, to find out what is wrong with it and where."""
    with source.readable.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return wrong_encoding(
                    source.path,
                    "utf-8",
                    offset=bad_offset(source.readable),
                    line=number,
                    sample=line,
                )
    try:
        fault = _ragged(source, max_examples) or _mixed_line_ends(source) or _long_row(source)
    except DataError as broken:
        return broken
    return _fault(source, fault or gist(error))


def _fault(source: Source, fault: str) -> DataError:
    return DataError(
        f"{source.path} cannot be read as text with delimiter {source.delimiter!r}: {fault}. Every "
        'row needs as many fields as the header; a field that holds the delimiter, a quote (") '
        'or a line break must stand in quotes, with inner quotes doubled ("")'
    )


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, fields) of every row, without header and blank lines."""
    csv.field_size_limit(LONGEST_FIELD)
    with source.readable.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=source.delimiter, strict=True)
        begin = 1
        header_seen = not source.header
        try:
            for fields in reader:
                if fields and header_seen:
                    yield begin, fields
                header_seen = header_seen or bool(fields)
                begin = reader.line_num + 1
        except csv.Error as error:
            raise _fault(
                source,
                f"the row that begins on line {begin} has a quote that is not closed, text after "
                f"a closing quote, or a field of more than {LONGEST_FIELD:,} characters ({error})",
            ) from error


def _ragged(source: Source, max_examples: int) -> str:
    expected = len(source.names)
    lines: list[str] = []
    num_bad = 0
    try:
        for line, fields in _records(source):
            if len(fields) != expected:
                num_bad += 1
                if num_bad <= max_examples:
                    lines.append(f"line {line} has {len(fields)}")
    except DataError:
        if not num_bad:
            raise
    if not num_bad:
        return ""
    rows = "1 row does" if num_bad == 1 else f"{num_bad} rows do"
    return f"{rows} not have the {expected} fields of the header ({', '.join(lines)})"


def _mixed_line_ends(source: Source) -> str:
    windows = unix = 0
    with source.readable.open("rb") as file:
        for line in file:
            is_windows = line.endswith(b"\r\n")
            windows += is_windows
            unix += line.endswith(b"\n") and not is_windows
    if not (windows and unix):
        return ""
    return f"{windows} lines end with \\r\\n and {unix} with \\n; make them equal (dos2unix)"


def _long_row(source: Source) -> str:
    for line, fields in _records(source):
        if sum(len(field.encode()) for field in fields) > LONGEST_ROW:
            name, field = max(zip(source.names, fields, strict=True), key=lambda pair: len(pair[1]))
            return (
                f"line {line} holds more than {LONGEST_ROW:,} bytes, of which column {name!r} has "
                f"{len(field):,} characters"
            )
    return ""
