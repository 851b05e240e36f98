"""Only a file of canonical whole numbers, and nothing else, is read as numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtune.tasks.recommend.ingest import numerals
from seqtune.tasks.recommend.ingest.numerals import find_number_types
from seqtune.tasks.recommend.ingest.sources import Source

COLUMNS = {"user_key": "user", "item_key": "item"}


def types_of(path: Path, text: str, *, header: bool = True) -> dict[str, str] | None:
    path.write_bytes(("user,item\n" * header + text).encode())
    source = Source(path=path, readable=path, format="csv", names=("user", "item"), header=header)
    return find_number_types([source], COLUMNS)


@pytest.mark.parametrize("piece", [1, 7, 1 << 17])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2\n0,1999999999\n", ("INTEGER", "INTEGER")),
        ("1,2\n30,40", ("INTEGER", "INTEGER")),
        ("1,2000000000\n3,4\n", ("INTEGER", "BIGINT")),
        ("12345678901,2\n3,999999999999999999\n", ("BIGINT", "BIGINT")),
    ],
)
def test_whole_numbers(
    text: str,
    expected: tuple[str, str],
    header: bool,
    piece: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(numerals, "_PIECE", piece)
    found = types_of(tmp_path / "log.csv", text, header=header)
    assert found == dict(zip(COLUMNS, expected, strict=True))


FIELDS = ["007", "+7", "-7", " 7", "7 ", "7.0", "1e3", "0x1F", "1_0", '"7"', "", "NULL", "a", "７"]


@pytest.mark.parametrize("field", [*FIELDS, "1" * 19, "1" * 257, "1" * 300_000])
def test_other_fields_make_it_text(field: str, tmp_path: Path) -> None:
    for row in (f"{field},2\n", f"1,{field}\n"):
        for text in (row + "1,2\n", "1,2\n" + row, "1,2\n" + row.rstrip("\n")):
            assert types_of(tmp_path / "log.csv", text) is None


@pytest.mark.parametrize("text", ["1,2,3\n4,5,6\n", "1\n2\n", "1,2\r\n", "1,2\n\n3,4\n", "1;2\n"])
def test_other_lines_make_it_text(text: str, tmp_path: Path) -> None:
    assert types_of(tmp_path / "log.csv", text) is None
