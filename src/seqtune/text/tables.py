"""Rows of the user's text files: CSV, TSV, JSONL or Parquet, with the line each begins at.

Every fault names its file and its line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seqtune.contracts.errors import DataError, did_you_mean

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


@dataclass(frozen=True)
class Row:
    """One row and where it stands."""

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
    csv.field_size_limit(LONGEST_FIELD)
    for file in files:
        found = _kind(file) if kind == "auto" else kind
        if found == "parquet":
            yield from _parquet(file)
        elif found == "jsonl":
            yield from _jsonl(file, encoding)
        else:
            yield from _delimited(file, encoding, "\t" if found == "tsv" else ",")


def require_columns(row: Row, wanted: Sequence[str], *, keys: Mapping[str, str]) -> None:
    """Refuse a file without the columns wanted; `keys` says which parameter names each."""
    faults = [
        f"{row.file} has no column {name!r}; {did_you_mean(name, [str(c) for c in row.values])} "
        f"(name it in {keys.get(name, 'the columns of ingest')})"
        for name in wanted
        if name not in row.values
    ]
    if faults:
        raise DataError("\n".join(faults))


def _kind(file: Path) -> str:
    endings = [ending.lower() for ending in file.suffixes if ending.lower() != ".gz"]
    return ENDINGS.get(endings[-1] if endings else "", "csv")


def _text(file: Path, encoding: str) -> io.StringIO:
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    try:
        text = raw.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}, line {line}: byte {error.start} is not {encoding}; save the file as UTF-8, "
            "or name its encoding (ingest.encoding; cp949 is usual for Korean files from Excel)"
        ) from error
    if not text.strip():
        raise DataError(f"{file} is empty; it must hold a row for each text")
    return io.StringIO(text, newline="")


def _delimited(file: Path, encoding: str, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(
        _text(file, encoding),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
    )
    header = next(reader)
    begins = reader.line_num + 1
    for fields in reader:
        line, begins = begins, reader.line_num + 1
        if not fields:
            continue
        if len(fields) != len(header):
            raise DataError(
                f"{file}, line {line}: {len(fields)} fields, but the header names {len(header)}; "
                "put fields that hold the delimiter or a line break in quotes"
            )
        yield Row(file, line, dict(zip(header, fields, strict=True)))


def _jsonl(file: Path, encoding: str) -> Iterator[Row]:
    for number, line in enumerate(_text(file, encoding), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{file}, line {number}: no JSON ({error}); one object a line"
            ) from error
        if not isinstance(values, dict):
            raise DataError(f"{file}, line {number}: {line.strip()[:40]!r} is no JSON object")
        yield Row(file, number, values)


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = pq.ParquetFile(file).iter_batches()
        number = 0
        for batch in batches:
            for values in batch.to_pylist():
                number += 1
                yield Row(file, number, values)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} is no Parquet file that can be read ({error})") from error
