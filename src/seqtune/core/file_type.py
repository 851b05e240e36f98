"""What a raw file is by its first bytes, whatever its name says."""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from .errors import DataError

HEAD_BYTES = 4096
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_SIGNATURES = {
    _PARQUET: "Parquet",
    _GZIP: "gzip",
    rb"PK\x03\x04": "a zip archive (or an Excel workbook)",
    rb"\xd0\xcf\x11\xe0": "an old Excel workbook (xls)",
    rb"\x28\xb5\x2f\xfd": "compressed with zstd",
    rb"BZh\d": "compressed with bzip2",
    rb"\xfd7zXZ": "compressed with xz",
    rb"SQLite format 3\0": "an SQLite database",
    rb"ARROW1": "an Arrow file",
    rb"version https://git-lfs": "a Git LFS pointer without its data (git lfs pull)",
    rb"(?i:(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml))": "a page of HTML or XML",
    rb'(\xef\xbb\xbf)?\s*[\[{]\s*[\[{"]': "JSON",
}
"""Regular expressions of the first bytes, each with what they say."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b") + b"\x7f"
_NOTE = re.compile(r"#|//|sep=.?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class FileHead:
    """The first bytes of a file, unpacked if it is gzip."""

    path: Path
    start: bytes
    is_gzip: bool

    @property
    def is_parquet(self) -> bool:
        return not self.is_gzip and self.start.startswith(_PARQUET)

    def open(self) -> BinaryIO:
        """Open the file to read it unpacked."""
        return cast(BinaryIO, gzip.open(self.path) if self.is_gzip else self.path.open("rb"))


def read_head(path: Path) -> FileHead:
    """Read the first bytes of a file; refuse what cannot be opened or is no regular file."""
    if os.path.lexists(path) and not path.is_file():
        raise DataError(irregular_file(path))
    try:
        with path.open("rb") as file:
            start = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); check its name and mode") from error
    is_gzip = start.startswith(_GZIP)
    if is_gzip:
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, HEAD_BYTES)
        except zlib.error:
            start = b""  # reading the whole file says where it is damaged
    return FileHead(path, start, is_gzip)


def irregular_file(path: Path) -> str:
    """Say what stands at a path where a file should be."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        return f"{path} is a link that leads to no file ({error.strerror}); correct the link"
    if is_folder:
        return f"{path} is a folder; name a file or a pattern such as {path}/*.csv in the catalog"
    return f"{path} is a pipe, a socket or a device; copy its content to a file"


def require_text(head: FileHead, *, encoding: str, setting: str, json: bool = False) -> None:
    """Refuse bytes that no table of text begins with; `setting` is the section of parameters."""
    start, path = head.start, head.path
    kinds = (kind for pattern, kind in _SIGNATURES.items() if re.match(pattern, start))
    kind = next(kinds, None)
    if kind and not (json and kind == "JSON"):
        raise DataError(
            f"{path} is {kind}{' inside gzip' if head.is_gzip else ''}, not a table of text; "
            f"unpack or convert it, or see {setting}.format for what can be read"
        )
    is_utf_16 = start.startswith(_UTF_16)
    if start and is_utf_16 != (encoding == "utf-16"):
        found = "is text in UTF-16" if is_utf_16 else "has no byte order mark of UTF-16"
        name = "utf-16" if is_utf_16 else "the encoding of the file"
        raise DataError(f"{path} {found}; set {setting}.encoding to {name}, or save it as UTF-8")
    num_control = len(start) - len(start.translate(None, _CONTROL))
    if not is_utf_16 and num_control > max(2, len(start) // 20):
        raise DataError(
            f"{path} holds binary data, or UTF-16 without its byte order mark: {num_control} of "
            f"its first {len(start)} bytes are control characters; convert it to text in UTF-8"
        )


def require_header(path: Path, line: str, *, wanted: tuple[str, ...]) -> None:
    """Refuse a first line that is a comment, or the separator for Excel, instead of the header."""
    if _NOTE.match(line) and not any(name in line for name in wanted):
        raise DataError(
            f"{path}: the first line, {line.strip()[:80]!r}, is a note and not the header with the "
            "names of the columns; delete it"
        )
