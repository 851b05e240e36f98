"""Unpack gzip and rewrite other encodings as UTF-8, which DuckDB reads."""

from __future__ import annotations

import codecs
import gzip
import zlib
from itertools import islice
from pathlib import Path

from seqtune.core.errors import DataError
from seqtune.core.file_type import FileHead

ENCODINGS = ("utf-8", "cp949", "latin-1")
PIECE = 1 << 22


def as_utf8(head: FileHead, encoding: str, *, temporary: Path) -> Path:
    """Write the text, unpacked and as UTF-8, to a temporary file in constant memory."""
    path = head.path
    target = temporary / f"text-{len(list(temporary.glob('text-*')))}.csv"
    decoder = codecs.getincrementaldecoder(encoding)()
    num_bytes = num_lines = 0
    with head.open() as file_bytes, target.open("wb") as file:
        try:
            while piece := file_bytes.read(PIECE):
                num_bytes += len(piece)
                text = decoder.decode(piece)
                num_lines += text.count("\n")
                file.write(text.encode())
            file.write(decoder.decode(b"", True).encode())
        except UnicodeDecodeError as error:
            good = bytes(error.object[: error.start]).count(b"\n")
            offset = num_bytes - len(error.object) + error.start
            raise wrong_encoding(
                path, encoding, offset=offset, line=num_lines + good + 1, sample=error.object
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{path} is not a complete gzip file ({error}); after {num_bytes} unpacked bytes "
                "nothing more could be read. Copy or compress it again"
            ) from error
    return target


def bad_offset(path: Path) -> int:
    """Return the offset of the first byte that is not UTF-8 text; a zero byte is not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    end = 0
    with path.open("rb") as file:
        try:
            while piece := file.read(PIECE):
                text, zero, _ = piece.partition(b"\0")
                end += len(text)
                decoder.decode(text)
                if zero:
                    break
        except UnicodeDecodeError as error:
            return end - len(error.object) + error.start
    return end


def wrong_encoding(
    path: Path, encoding: str, *, offset: int, line: int, sample: bytes | None = None
) -> DataError:
    """Return the error for bytes that do not fit the configured encoding."""
    if sample is None:
        with path.open("rb") as file:
            sample = b"".join(islice(file, 1000))[:PIECE]
    fitting = [name for name in ENCODINGS if name != encoding and _fits(sample, name)]
    advice = f"its bytes would fit {' or '.join(fitting)}" if fitting else "it may be no text"
    return DataError(
        f"{path} is not encoded in {encoding}: the byte at offset {offset} (line {line}) cannot be "
        f"read; {advice}. Set recommend.ingest.encoding (utf-8, utf-16, latin-1, cp949, euc-kr) "
        "or convert the file to UTF-8"
    )


def _fits(sample: bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(sample)
    except UnicodeDecodeError:
        return False
    return encoding != "latin-1" or not any("\x80" <= letter < "\xa0" for letter in text)
