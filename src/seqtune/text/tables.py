"""Read rows of CSV, TSV, JSONL or Parquet files, with the line where each begins.

CSV follows RFC 4180. In TSV, quotes are ordinary characters; only a quoted field that doubles every
quote inside is unquoted. Files are streamed, and errors name the file and the line.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from seqtune.core.errors import DataError, did_you_mean
from seqtune.core.file_type import FileHead, read_head, require_header, require_text

Format = Literal["auto", "csv", "tsv", "jsonl", "parquet"]
ALIASES = {"txt": "tsv", "ndjson": "jsonl", "json": "jsonl", "pq": "parquet"}
"""File endings that are not the name of their format."""
LONGEST_FIELD = 1 << 24
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_COMMA_RULE = "put fields with a comma or a line break in quotes, and double the quotes inside"
_TAB_RULE = "a field of a TSV file cannot contain a tab or a line break: save it as CSV or JSONL"
_JSON_RULE = "write one object on each line"


@dataclass(frozen=True)
class Row:
    """One row and its position."""

    file: Path
    line: int  # of the file, from 1; for Parquet the number of the row
    values: Mapping[str, Any]

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line}"


def read_rows(
    files: Sequence[Path], *, kind: Format = "auto", encoding: str = "utf-8"
) -> Iterator[Row]:
    """Yield all rows of some files, in order; raise DataError at the first unreadable one."""
    for file in files:
        number = 0
        for number, row in enumerate(_rows_of(file, kind, encoding), start=1):  # noqa: B007
            yield row
        if not number:
            raise DataError(f"{file} is empty; it must have a row for each text")


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
    head = read_head(file)
    found = _detect_format(head) if kind == "auto" else kind
    if found == "parquet":
        yield from _parquet(file)
        return
    require_text(head, encoding=encoding, setting="ingest", json=found == "jsonl")
    with _open_text(head, encoding) as lines:
        if found == "jsonl":
            yield from _jsonl(file, lines)
        else:
            yield from _delimited(file, lines, "\t" if found == "tsv" else ",")


def _detect_format(head: FileHead) -> str:
    """Return parquet for its content, or the format of the ending; unknown ones are read as CSV."""
    if head.is_parquet:
        return "parquet"
    endings = [ending.lower() for ending in head.path.suffixes if ending.lower() != ".gz"]
    ending = endings[-1].removeprefix(".") if endings else ""
    return ALIASES.get(ending, ending)


@contextmanager
def _open_text(head: FileHead, encoding: str) -> Iterator[TextIO]:
    """Open a text file, keeping its line ends; raise decoding errors as DataError."""
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        with head.open() as raw, io.TextIOWrapper(raw, codec, newline="") as lines:
            yield lines
    except UnicodeError as error:
        raise DataError(_describe_undecodable(head, encoding)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{head.path} cannot be read ({error or type(error).__name__})") from error


def _describe_undecodable(head: FileHead, encoding: str) -> str:
    with head.open() as opened:
        raw = opened.read()
    start = 0
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        start = error.start
    line = raw[:start].decode(encoding, errors="ignore").count("\n") + 1
    return (
        f"{head.path}, line {line}: byte {start} is not {encoding}; save the file as UTF-8, or "
        "name its encoding (ingest.encoding; cp949 is usual for Korean files from Excel)"
    )


def _delimited(file: Path, lines: TextIO, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    tabs = delimiter == "\t"
    reader = csv.reader(
        _refuse_nul(file, lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    header: list[str] = []
    for line, fields in _records(file, reader):
        if not fields:
            continue
        fields = [_unquote(field) for field in fields] if tabs else fields
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
    """Yield records with the lines where they begin."""
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{file}, line {line}: the record that begins here cannot be read ({error}); "
                f"close each quote, and {_COMMA_RULE}"
            ) from error
        yield line, fields


def _refuse_nul(file: Path, lines: TextIO) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise DataError(
                f"{file}, line {number}: a NUL byte; the file is damaged, or in another encoding "
                "(ingest.encoding)"
            )
        yield line


def _header(file: Path, fields: list[str]) -> list[str]:
    require_header(file, ",".join(fields), wanted=tuple(filter(None, fields[1:])))
    twice = sorted({name for name in fields if fields.count(name) > 1})
    if twice:
        raise DataError(
            f"{file} has several columns {', '.join(map(repr, twice))}; give each a unique name"
        )
    if len(fields) == 1 and (other := re.search("[\t;,]", fields[0])):
        raise DataError(
            f"{file}: the header is a single column {fields[0]!r} that contains {other[0]!r}; use "
            "the ending of its format (.csv for commas, .tsv for tabs), or set ingest.format"
        )
    return fields


def _unquote(field: str) -> str:
    """Remove the quotes that a CSV writer put around a field that contains quotes."""
    found = _QUOTED.fullmatch(field) if field[:1] == '"' else None
    return found[1].replace('""', '"') if found and '""' in found[1] else field


def _jsonl(file: Path, lines: TextIO) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{file}, line {number}: invalid JSON ({error}); {_JSON_RULE}"
            ) from error
        if not isinstance(values, dict):
            raise DataError(
                f"{file}, line {number}: {line.strip()[:40]!r} is not a JSON object; {_JSON_RULE}"
            )
        yield Row(file, number, values)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {name!r} occurs more than once")
    return values


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = pq.ParquetFile(file).iter_batches(batch_size=4096)
        rows = (values for batch in batches for values in batch.to_pylist())
        for number, values in enumerate(rows, start=1):
            yield Row(file, number, values)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read as Parquet ({error})") from error
