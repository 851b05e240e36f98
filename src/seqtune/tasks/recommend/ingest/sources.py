"""Find out what kind of file this is: format, compression, encoding, delimiter, columns.

Only the head of a file is read here. A file that DuckDB cannot read (gzip, or another encoding
than UTF-8) is first rewritten as UTF-8 text below the temporary folder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from seqtune.core.errors import DataError, did_you_mean
from seqtune.core.file_type import FileHead, read_head, require_header, require_text
from seqtune.core.format import end_sentence

from ..params import IngestConfig
from .encodings import as_utf8, bad_offset, wrong_encoding
from .engine import fill, gist, path_literal
from .partitions import partitions_of

DELIMITERS = (",", "\t", ";", "|", " ")
SAMPLE_LINES = 1000
HEAD_CHARACTERS = 1 << 20
LONGEST_SHOWN = 80
LONGEST_FIELD = 1 << 24
"""Characters of a field of text, which Python's reader holds in memory."""


@dataclass(frozen=True)
class Source:
    """A file and its kind."""

    path: Path
    """The user's file: what errors and reports name."""
    readable: Path
    """The same content as Parquet or UTF-8 text."""
    format: Literal["csv", "parquet"]
    names: tuple[str, ...]
    """Columns in the file's order, then the wanted columns from its path."""
    types: tuple[str, ...] = ()
    """parquet: DuckDB's types of the columns in the file."""
    delimiter: str = ","
    header: bool = True
    num_blank: int = 0
    """Blank lines before the header."""
    partitions: Mapping[str, str | None] = field(default_factory=dict)
    """parquet: wanted columns that are not in the file but in its path, each with its value."""

    def position(self, name: str) -> int:
        return self.names.index(name)


def examine(
    path: Path,
    config: IngestConfig,
    *,
    wanted: Sequence[str],
    settings: Sequence[str],
    temporary: Path,
    connection: duckdb.DuckDBPyConnection,
) -> Source:
    """Return the kind of a file; `settings` are the parameters that name the `wanted` columns."""
    head = read_head(path)
    if _is_parquet(head, config):
        source = _examine_parquet(path, connection, wanted=wanted)
    else:
        source = _examine_text(head, config, wanted=wanted, temporary=temporary)
    _require_columns(source, wanted, settings, config)
    return source


def same_columns(sources: Sequence[Source]) -> None:
    """Refuse files of one table whose columns differ from those of the first."""
    first = sources[0]
    for other in sources[1:]:
        if set(other.names) == set(first.names) and other.format == first.format:
            continue
        raise DataError(
            f"{other.path} ({other.format}) has the columns {listed(other.names)}, but "
            f"{first.path} ({first.format}) has {listed(first.names)}; all files of one table need "
            "the same format and columns: convert it, or take it out of the catalog entry"
        )


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:20])) + (", ..." if len(names) > 20 else "")


def _is_parquet(head: FileHead, config: IngestConfig) -> bool:
    if config.format == "auto":
        return head.is_parquet or head.path.suffix.lower() in (".parquet", ".pq")
    if config.format == "csv" and head.is_parquet:
        raise DataError(
            f"{head.path} is a Parquet file, but recommend.ingest.format=csv; set it to auto or "
            "parquet"
        )
    return config.format == "parquet"


def _examine_parquet(
    path: Path, connection: duckdb.DuckDBPyConnection, *, wanted: Sequence[str]
) -> Source:
    query = fill("DESCRIBE SELECT * FROM $relation", relation=parquet_relation(path))
    try:
        columns = connection.execute(query).fetchall()
    except duckdb.Error as error:
        raise unreadable_parquet(path, error) from error
    names = tuple(row[0] for row in columns)
    durations = _durations(path)
    new = set(wanted) - set(names)
    partitions = {name: value for name, value in partitions_of(path).items() if name in new}
    return Source(
        path=path,
        readable=path,
        format="parquet",
        names=(*names, *partitions),
        types=tuple("INTERVAL" if row[0] in durations else row[1] for row in columns),
        partitions=partitions,
    )


def _durations(path: Path) -> set[str]:
    """Return the columns of lengths of time, which DuckDB takes for whole numbers."""
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):  # what DuckDB alone can read has none of Arrow's types
        return set()
    return {field.name for field in schema if pa.types.is_duration(field.type)}


def parquet_relation(path: Path) -> str:
    """Return the relation to select from; columns from the path would hide those in the file."""
    return fill("read_parquet($path, hive_partitioning=false)", path=path_literal(path))


def unreadable_parquet(path: Path, error: duckdb.Error) -> DataError:
    return DataError(
        f"{path} cannot be read as Parquet: it is cut off or damaged, or not Parquet at all "
        f"({gist(error)}); write or copy it again, or set recommend.ingest.format=csv if it "
        "is text"
    )


def _examine_text(
    head: FileHead, config: IngestConfig, *, wanted: Sequence[str], temporary: Path
) -> Source:
    require_text(head, encoding=config.encoding, setting="recommend.ingest")
    path = readable = head.path
    if head.is_gzip or config.encoding != "utf-8":
        readable = as_utf8(head, config.encoding, temporary=temporary)
    lines = first_lines(readable)
    if not any(line.strip() for line in lines):
        raise DataError(f"{path} is empty; it needs a header line and one row per event")
    num_blank = next(number for number, line in enumerate(lines) if line.strip())
    header = lines[num_blank]
    if "\0" in header or (config.header and "\ufffd" in header):
        raise wrong_encoding(path, config.encoding, offset=bad_offset(readable), line=num_blank + 1)
    if config.header:
        require_header(path, header, wanted=tuple(wanted))
    delimiter, names = _detect(path, lines, config, wanted=wanted)
    return Source(
        path=path,
        readable=readable,
        format="csv",
        names=names,
        delimiter=delimiter,
        header=config.header,
        num_blank=num_blank,
    )


def first_lines(path: Path, num_lines: int = SAMPLE_LINES) -> list[str]:
    """Return the first lines of UTF-8 text, as far as memory allows; bad bytes become U+FFFD."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return list(islice(io.StringIO(file.read(HEAD_CHARACTERS), newline=""), num_lines))


def records(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_FIELD)
    return (row for row in csv.reader(lines, delimiter=delimiter) if row)


def _detect(
    path: Path, lines: list[str], config: IngestConfig, *, wanted: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter and the names of the columns."""
    candidates = (config.delimiter,) if config.delimiter else DELIMITERS
    if not config.header:
        return _detect_without_header(path, lines, candidates, config)
    headers = {
        delimiter: tuple(name.strip() for name in next(records(lines, delimiter), []))
        for delimiter in candidates
    }
    fitting = [delimiter for delimiter, names in headers.items() if set(wanted) <= set(names)]
    best = fitting[0] if fitting else max(headers, key=lambda delimiter: len(headers[delimiter]))
    return best, headers[best]


def _detect_without_header(
    path: Path, lines: list[str], candidates: Sequence[str], config: IngestConfig
) -> tuple[str, tuple[str, ...]]:
    sample = lines[:100]
    expected = len(config.file_columns)
    hits = {
        delimiter: sum(len(row) == expected for row in records(sample, delimiter))
        for delimiter in candidates
    }
    best = max(hits, key=lambda delimiter: hits[delimiter])
    if hits[best] == 0:
        counts = ", ".join(
            f"{delimiter!r}: {len(next(records(sample, delimiter), []))}"
            for delimiter in candidates
        )
        raise DataError(
            f"{path}: recommend.ingest.file_columns names {expected} columns "
            f"({listed(config.file_columns)}), but the first line {shown(lines[0])} has another "
            f"number of fields with every delimiter tried ({counts}); correct file_columns or set "
            "recommend.ingest.delimiter"
        )
    return best, config.file_columns


def shown(text: str) -> str:
    """Quote a text for a message: without its line end, and cut after some characters."""
    text = text[:LONGEST_SHOWN].rstrip("\r\n") + "..." * (len(text) > LONGEST_SHOWN)
    return repr(text)


def _require_columns(
    source: Source, wanted: Sequence[str], settings: Sequence[str], config: IngestConfig
) -> None:
    names = [other for other in source.names if len(other) <= LONGEST_SHOWN]
    faults = [
        f"there is no column {name!r} ({setting}), {did_you_mean(name, names)}"
        for name, setting in zip(wanted, settings, strict=True)
        if name not in source.names
    ]
    if faults:
        found = end_sentence("; ".join(faults))
        raise DataError(f"{source.path}: {found} {_advice(source, config)}")
    repeated = [name for name in wanted if source.names.count(name) > 1]
    if repeated:
        raise DataError(
            f"{source.path}: column {repeated[0]!r} occurs {source.names.count(repeated[0])} times "
            "in the header; rename or remove all but one"
        )


def _advice(source: Source, config: IngestConfig) -> str:
    found = f"The columns found are {listed(source.names)}"
    if source.format == "parquet" or not source.header:
        return f"{found}; set recommend.ingest.columns to the file's own names"
    line = shown(first_lines(source.readable, 1)[0])
    if len(source.names) == 1:
        tried = [config.delimiter] if config.delimiter else list(DELIMITERS)
        return (
            f"Only one column was found; delimiters tried: {listed(tried)}; the first line is "
            f"{line}. Set recommend.ingest.delimiter to the character between its columns, or to "
            "null to have it detected"
        )
    if all(name.lstrip("-").replace(".", "", 1).isdigit() for name in source.names):
        return (
            f"The first line, {line}, looks like data: if the file has no header, set "
            "recommend.ingest.header=false and name its columns in recommend.ingest.file_columns"
        )
    return (
        f"{found} (delimiter {source.delimiter!r}); set recommend.ingest.columns to the file's own "
        "names (time: null if it has no times)"
    )
