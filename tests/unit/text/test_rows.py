"""Cleaning and comparing texts."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtune.core.errors import ArtifactError, DataError
from seqtune.text.ingested import open_ingested, write_ingested
from seqtune.text.rows import (
    Cleaner,
    RowErrors,
    groups_of,
    has_content,
    part_sizes,
    plain,
    special_tokens,
    spread,
)

ANY = st.text(st.characters(codec=None, categories=None), max_size=60)  # surrogates too


@given(ANY)
def test_clean_texts_can_be_written_and_stay_as_they_are(text: str) -> None:
    once = Cleaner("texts", 1000)(text)
    again = Cleaner("texts", 1000)
    assert again(once) == once
    assert not again.changed.total()
    assert once.encode().decode() == once
    assert unicodedata.is_normalized("NFC", once)


@given(ANY)
def test_spaces_around_a_text_do_not_count(text: str) -> None:
    assert plain(text) == plain(f"  {text}  ")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", "hello world"),
        ("안녕 하세요~~", "안녕하세요."),
        ("ＡＢＣ１", "abc1"),
        ("Straße", "STRASSE"),
        ("a\tb\nc", "a b c"),
    ],
)
def test_equal_but_for_spaces_case_and_marks(one: str, other: str) -> None:
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    ("one", "other"), [("여자", "남자"), ("กา", "กี"), ("👍", "👎"), ("a1", "a2"), ("!!", "??")]
)
def test_not_equal(one: str, other: str) -> None:
    assert plain(one) != plain(other)


def test_groups_and_sizes() -> None:
    assert groups_of(["a b", "c", "A.B", "C", "d"]).tolist() == [0, 1, 0, 1, 2]
    names = {"task": "classify", "texts": "texts"}
    assert part_sizes(7, (0.1, 0.5), **names) == (2, 1, 4)
    assert part_sizes(7, (0.0, 0.5), **names) == (3, 0, 4)
    with pytest.raises(DataError, match="1 texts are too few: 1 for valid and 0 for test leave"):
        part_sizes(1, (0.1, 0.0), **names)
    assert spread([5, 1, 3]) == {"min": 1, "p50": 3, "p95": 5, "max": 5}


def test_what_says_something() -> None:
    assert all(map(has_content, ["a", "ㅋ", "7", "!한!"]))
    assert not any(map(has_content, ["", " ", "!?", "___", "👍"]))


def test_special_tokens_are_counted_once_a_text() -> None:
    texts = ["<s> a </s> </s>", "[CLS] x [SEP]", "<|im_start|>user</s>", "a < b > c [A] <b> [INST]"]
    assert special_tokens(texts) == {
        "</s>": 2, "<s>": 1, "<|im_start|>": 1, "[CLS]": 1, "[INST]": 1, "[SEP]": 1,
    }  # fmt: skip
    assert special_tokens(["#Person1#: hi"]) == {}


def test_faults_of_one_kind_are_one_line() -> None:
    faults = RowErrors(max_examples=2)
    faults.raise_any()
    for number in range(4):
        faults.add("bad rows", f"line {number}", next_step="Correct them")
    faults.add("no ids", "line 9", next_step="Name them")
    with pytest.raises(DataError) as caught:
        faults.raise_any()
    assert str(caught.value).splitlines() == [
        "bad rows: line 0; line 1; and 2 more. Correct them",
        "no ids: line 9. Name them",
    ]


def test_ingested_rows_by_role(tmp_path: Path) -> None:
    table = pa.table({"row": [0, 1, 2], "role": ["a", "b", "a"]})
    write_ingested(tmp_path, table, task="t", name="rows", facts={"x": 1}, made_with={"ingest": {}})
    opened = open_ingested(tmp_path, task="t")
    assert opened.manifest.rows == {"a": 2, "b": 1}
    assert opened.rows("a")["row"].to_pylist() == [0, 2]
    assert opened.rows("c").num_rows == 0
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="not a complete folder of ingested texts"):
        open_ingested(tmp_path, task="t")
