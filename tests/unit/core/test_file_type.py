"""A file is what its bytes say, and the message says it."""

from __future__ import annotations

import gzip
import os
from functools import partial
from pathlib import Path

import pytest

from seqtune.core.errors import DataError
from seqtune.core.file_type import read_head, require_header, require_text

TEXT = b"user,item\n1,2\n"
packed = partial(gzip.compress, mtime=0)


def judge(path: Path, content: bytes, encoding: str = "utf-8", *, json: bool = False) -> None:
    path.write_bytes(content)
    require_text(read_head(path), encoding=encoding, setting="recommend.ingest", json=json)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PAR1....", "is Parquet, not a table of text"),
        (packed(b"PAR1...."), "is Parquet inside gzip"),
        (packed(packed(TEXT)), "is gzip inside gzip"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (b'[{"user": 1}]', "is JSON"),
        (b'\xef\xbb\xbf{"user": 1}\n{"user": 2}\n', "is JSON"),
        (packed(b'{\n  "user": 1}'), "is JSON inside gzip"),
        (b"<!DOCTYPE html><html>", "is a page of HTML or XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (bytes(range(256)) * 8, "holds binary data"),
        (TEXT.decode().encode("utf-16"), "encoding to utf-16"),
        (TEXT.decode().encode("utf-16-be"), "UTF-16 without its byte order mark"),
    ],
)
def test_what_is_no_text(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv") as caught:
        judge(tmp_path / "a.csv", content)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT, "utf-8"),
        (b"", "utf-8"),
        (b"\xef\xbb\xbf" + TEXT, "utf-8"),
        (packed(TEXT), "utf-8"),
        (packed(TEXT)[:12], "utf-8"),
        ("사용자,가나\n".encode("cp949"), "cp949"),
        (TEXT.decode().encode("utf-16"), "utf-16"),
        (b"text\tx\nbro\0ken\t1\n", "utf-8"),
        (b"BZh,<a>,{b}\n", "utf-8"),
    ],
)
def test_what_may_be_text(content: bytes, encoding: str, tmp_path: Path) -> None:
    judge(tmp_path / "a.csv", content, encoding)


def test_json_where_it_is_read(tmp_path: Path) -> None:
    judge(tmp_path / "a.jsonl", b'{"text": 1}\n', json=True)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in (("pipe", "is a pipe"), ("none", "No such file"), ("", "is a folder")):
        with pytest.raises(DataError, match=says):
            read_head(tmp_path / name)


def test_a_note_is_no_header(tmp_path: Path) -> None:
    for line in ("# exported 2024", "// a note", "sep=;\r\n", "SEP=,"):
        with pytest.raises(DataError, match="is a note and not the header"):
            require_header(tmp_path / "a.csv", line, wanted=("user",))
    for line in ("#id,user", "sep,user", "separator"):
        require_header(tmp_path / "a.csv", line, wanted=("user",))
