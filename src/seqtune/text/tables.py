"""Rows of the user's CSV, TSV, JSONL or Parquet files, with the line each begins at.

CSV follows RFC 4180. In TSV quotes are ordinary characters; only a field that is quoted and doubles
every quote inside is unquoted. Files are streamed, and errors name the file and the line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, cast

from seqtune.core.errors import DataError, did_you_mean

Format = Literal["auto", "csv", "tsv", "jsonl", "parquet"]
ENDINGS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
LONGEST_FIELD = 1 << 24
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


@dataclass(frozen=True)
class Row:
    """One row and its position."""

    file: Path
    line: int
    """Of the file, counted from 1; for Parquet the number of the row."""
    values: Mapping[str, Any]

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line}"


def read_rows(
    files: Sequence[Path], *, kind: Format = "auto", encoding: str = "utf-8"
) -> Iterator[Row]:
    """All rows of some files, in order; raises DataError at the first that cannot be read."""
    for file in files:
        number = 0
        for number, row in enumerate(_rows_of(file, kind, encoding), start=1):  # noqa: B007
            yield row
        if not number:
            raise DataError(f"{file} is empty; it must hold a row for each text")


def require_columns(row: Row, wanted: Sequence[str], *, keys: Mapping[str, str]) -> None:
    """Refuse a file without these columns; `keys` maps each to the parameter that names it."""
    faults = [
        f"{row.file} has no column {name!r}; {did_you_mean(name, [str(c) for c in row.values])} "
        f"(name it in {keys.get(name, 'the columns of ingest')})"
        for name in wanted
        if name not in row.values
    ]
    if faults:
        raise DataError("\n".join(faults))


def _rows_of(file: Path, kind: Format, encoding: str) -> Iterator[Row]:
    found = _kind(file) if kind == "auto" else kind
    if found == "parquet":
        yield from _parquet(file)
        return
    with _opened(file, encoding) as lines:
        if found == "jsonl":
            yield from _jsonl(file, lines)
        else:
            yield from _delimited(file, lines, "\t" if found == "tsv" else ",")


def _kind(file: Path) -> str:
    endings = [ending.lower() for ending in file.suffixes if ending.lower() != ".gz"]
    return ENDINGS.get(endings[-1] if endings else "", "csv")


@contextmanager
def _opened(file: Path, encoding: str) -> Iterator[TextIO]:
    """Lines of a file with their original ends; decoding errors become DataError."""
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        with _bytes(file) as raw, io.TextIOWrapper(raw, codec, newline="") as lines:
            yield lines
    except UnicodeError as error:
        raise DataError(_undecodable(file, encoding)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error or type(error).__name__})") from error


def _bytes(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb"))


def _undecodable(file: Path, encoding: str) -> str:
    with _bytes(file) as opened:
        raw = opened.read()
    try:
        raw.decode(encoding)
        start = 0  # UTF-16 without the mark that a stream must begin with
    except UnicodeDecodeError as error:
        start = error.start
    line = raw[:start].decode(encoding, errors="ignore").count("\n") + 1
    utf_16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    guess = "it is utf-16" if utf_16 else "cp949 is usual for Korean files from Excel"
    return (
        f"{file}, line {line}: byte {start} is not {encoding}; save the file as UTF-8, or name its "
        f"encoding (ingest.encoding; {guess})"
    )


def _delimited(file: Path, lines: TextIO, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    tabs = delimiter == "\t"
    reader = csv.reader(
        _clean(file, lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    header: list[str] = []
    for line, fields in _records(file, reader):
        if not fields:
            continue
        fields = [_unquoted(field) for field in fields] if tabs else fields
        if not header:
            header = _header(file, fields)
            continue
        if len(fields) != len(header):
            raise DataError(
                f"{file}, line {line}: {len(fields)} fields, but the header names {len(header)}; "
                + (_TAB_RULE if tabs else _COMMA_RULE)
            )
        yield Row(file, line, dict(zip(header, fields, strict=True)))


def _records(file: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Records and the lines they begin at."""
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{file}, line {line}: the record that begins here cannot be read ({error}); "
                f"a quote that is opened must be closed, and {_COMMA_RULE}"
            ) from error
        yield line, fields


def _clean(file: Path, lines: TextIO) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise DataError(
                f"{file}, line {number}: a NUL byte; the file is damaged, or in another encoding "
                "(ingest.encoding)"
            )
        yield line


def _header(file: Path, fields: list[str]) -> list[str]:
    twice = sorted({name for name in fields if fields.count(name) > 1})
    if twice:
        raise DataError(f"{file} has several columns {', '.join(map(repr, twice))}; name each once")
    if len(fields) == 1 and (other := re.search("[\t;,]", fields[0])):
        raise DataError(
            f"{file}: its header is one column {fields[0]!r}, which holds {other[0]!r}; give the "
            "file the ending of its kind (.csv for commas, .tsv for tabs), or set ingest.format"
        )
    return fields


def _unquoted(field: str) -> str:
    """Without the quotes that a writer of CSV put around it because of the quotes inside."""
    found = _QUOTED.fullmatch(field) if field[:1] == '"' else None
    return found[1].replace('""', '"') if found and '""' in found[1] else field


def _jsonl(file: Path, lines: TextIO) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}, line {number}: no JSON ({error}); {_JSON_RULE}") from error
        if not isinstance(values, dict):
            raise DataError(
                f"{file}, line {number}: {line.strip()[:40]!r} is no JSON object; {_JSON_RULE}"
            )
        yield Row(file, number, values)


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        number = 0
        for batch in pq.ParquetFile(file).iter_batches(batch_size=4096):
            for values in batch.to_pylist():
                number += 1
                yield Row(file, number, values)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} is no Parquet file that can be read ({error})") from error


_COMMA_RULE = "put fields that hold a comma or a line break in quotes, and double the quotes inside"
_TAB_RULE = "a field of a TSV file can hold neither a tab nor a line break: save it as CSV or JSONL"
_JSON_RULE = "write one object a line"
