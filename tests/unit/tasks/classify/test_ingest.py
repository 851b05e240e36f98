"""Raw texts with labels: what is taken, what is refused with its line, what is counted."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.task import Report
from seqtune.tasks.classify.ingest import ingest
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.text.ingested import Ingested, open_ingested

HEADER = "text\tanger\tjoy\n"
ROWS = "so bad\t1\t0\nso good\t0\t1\nso what\t0\t0\n"


class Here:
    """Files in a folder, and ingest on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.out.mkdir()

    def file(self, text: str | bytes, name: str = "texts.tsv") -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def ingest(self, *files: Path, test: tuple[Path, ...] = (), **settings: Any) -> Report:
        config = ClassifyConfig.model_validate({"ingest": settings})
        return ingest({"texts": files, "test_texts": test}, config, out=self.out)

    def fault(self, *files: Path, test: tuple[Path, ...] = (), **settings: Any) -> str:
        """What the error says; nothing was written."""
        with pytest.raises(DataError) as caught:
            self.ingest(*files, test=test, **settings)
        assert not list(self.out.iterdir())
        return str(caught.value)

    def opened(self) -> Ingested:
        return open_ingested(self.out, task="classify")

    def column(self, name: str) -> list[Any]:
        found: list[Any] = self.opened().table[name].to_pylist()
        return found


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_texts_labels_and_what_is_said(here: Here) -> None:
    report = here.ingest(here.file(HEADER + ROWS))
    assert here.column("text") == ["so bad", "so good", "so what"]
    assert here.column("labels") == [[1, 0], [0, 1], [0, 0]]
    assert here.column("id") == ["0", "1", "2"]
    assert here.column("role") == ["texts"] * 3
    manifest = here.opened().manifest
    assert manifest.facts["labels"] == ["anger", "joy"]
    assert manifest.made_with["ingest"]["max_characters"] == 20_000
    assert report["labels"] == {"anger": {"texts": 1}, "joy": {"texts": 1}}
    assert report["labels_of_a_text"] == {"0": 1, "1": 2}
    assert report["headline"] == ["ingest: 3 texts with 2 labels"]
    assert report["files"][0]["rows"] == 3


@pytest.mark.parametrize("name", ["texts.tsv", "texts.csv", "texts.jsonl", "texts.parquet"])
def test_every_format_gives_the_same(here: Here, name: str) -> None:
    rows = [
        {"text": 'a "quoted" word', "anger": True, "joy": 0.0},
        {"text": "plain", "anger": 0, "joy": 1},
    ]
    path = here.folder / name
    if name.endswith("parquet"):
        table = pa.table(
            {
                "text": [row["text"] for row in rows],
                "anger": [True, False],
                "joy": pa.array([0.0, 1.0]),
            }
        )
        pq.write_table(table, path)
    elif name.endswith("jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name.endswith("csv"):
        path.write_text('text,anger,joy\n"a ""quoted"" word",true,0.0\nplain,False,1.0\n')
    else:
        path.write_text('text\tanger\tjoy\na "quoted" word\t1\t0\nplain\t0\t1\n')
    here.ingest(path)
    assert here.column("text") == ['a "quoted" word', "plain"]
    assert here.column("labels") == [[1, 0], [0, 1]]


def test_labels_in_the_order_that_is_asked_for_and_ids(here: Here) -> None:
    path = here.file("key\ttext\ta\tb\tnote\nx1\tone\t1\t0\thm\nx2\ttwo\t0\t1\thm\n")
    here.ingest(path, columns={"id": "key", "labels": ["b", "a"]})
    assert here.column("id") == ["x1", "x2"]
    assert here.column("labels") == [[0, 1], [1, 0]]


@pytest.mark.parametrize("value", ["2", "", "0.5", "yes", "nan", "-1"])
def test_a_label_other_than_0_and_1(here: Here, value: str) -> None:
    path = here.file(f"{HEADER}{ROWS}what now\t0\t{value}\n")
    message = here.fault(path)
    assert f"labels must be 0 or 1: {path}, line 5: column 'joy' holds {value!r}" in message
    assert "classify.ingest.columns.ignore" in message


def test_labels_of_json_that_are_no_numbers(here: Here) -> None:
    lines = [{"text": "one", "a": None}, {"text": "two", "a": [1]}, {"text": "three", "a": 1}]
    path = here.file("".join(json.dumps(line) + "\n" for line in lines), "texts.jsonl")
    message = here.fault(path)
    assert f"{path}, line 1: column 'a' holds None; {path}, line 2: column 'a' holds [1]" in message


def test_only_some_faults_are_named_and_all_are_counted(here: Here) -> None:
    path = here.file(HEADER + "".join(f"text {n}\t7\t0\n" for n in range(9)))
    message = here.fault(path, max_examples=2)
    assert "line 2: " in message
    assert "line 3: " in message
    assert "line 4: " not in message
    assert "and 7 more" in message


def test_a_missing_text_column_shows_those_that_are_there(here: Here) -> None:
    path = here.file("문장\t악플/욕설\tclean\n안녕\t0\t1\n")
    message = here.fault(path)
    assert f"{path} has no column 'text'" in message
    assert "clean, 문장, 악플/욕설" in message
    assert "classify.ingest.columns.text" in message


def test_a_missing_label_column_or_id(here: Here) -> None:
    path = here.file(HEADER + ROWS)
    message = here.fault(path, columns={"labels": ["angr", "joy"]})
    assert "no column 'angr'; did you mean 'anger'?" in message
    assert "classify.ingest.columns.labels" in message
    assert "no column 'key'" in here.fault(path, columns={"id": "key"})


def test_no_label_column_at_all(here: Here) -> None:
    assert "no column of labels beside text" in here.fault(here.file("text\nhello\n"))


def test_files_must_have_the_same_labels(here: Here) -> None:
    first = here.file(HEADER + ROWS)
    fewer = here.file("text\tanger\nabc\t1\n", "fewer.tsv")
    more = here.file("text\tanger\tjoy\tfear\nabc\t1\t0\t0\n", "more.tsv")
    assert f"{fewer} has no column 'joy'" in here.fault(first, test=(fewer,))
    message = here.fault(first, test=(more,))
    assert f"{more} has the columns 'fear', which the first file has not" in message
    here.ingest(first, test=(more,), columns={"labels": ["anger", "joy"]})
    assert here.column("role") == ["test_texts"] + ["texts"] * 3


def test_a_column_named_twice(here: Here) -> None:
    with pytest.raises(ConfigurationError, match="'anger' more than once"):
        here.ingest(here.file(HEADER + ROWS), columns={"labels": ["anger"], "ignore": ["anger"]})


def test_empty_texts_are_refused_or_left_out(here: Here) -> None:
    path = here.file(HEADER + ROWS + "\t0\t1\n!!! ...\t1\t0\n")
    message = here.fault(path)
    assert f"without a letter or digit: {path}, line 5 (''); {path}, line 6 ('!!! ...')" in message
    assert "classify.ingest.on_empty=drop" in message
    report = here.ingest(path, on_empty="drop")
    assert report["rows_dropped"]["empty"] == 2
    assert "2 texts without a letter or digit were left out (on_empty=drop)" in report["headline"]
    assert len(here.column("text")) == 3


def test_nothing_is_left(here: Here) -> None:
    path = here.file(HEADER + "...\t0\t1\n")
    assert "none of the 1 rows can be used" in here.fault(path, on_empty="drop")


def test_null_instead_of_a_text(here: Here) -> None:
    path = here.file('{"text": null, "a": 1}\n{"text": 5, "a": 1}\n', "texts.jsonl")
    message = here.fault(path)
    assert f"{path}, line 1 holds null; {path}, line 2 holds 5 (int)" in message


def test_short_and_long_texts(here: Here) -> None:
    long = "word " * 20_000
    report = here.ingest(here.file(f"{HEADER}ㅋ\t1\t0\n{long}\t0\t1\n"))
    assert [len(text) for text in here.column("text")] == [1, 19_999]
    assert report["changed"]["cut"] == 1
    assert "1 texts were longer than max_characters and were cut" in report["headline"]
    assert report["characters"]["min"] == 1


def test_control_characters_unicode_forms_and_half_surrogates(here: Here) -> None:
    decomposed = unicodedata.normalize("NFD", "한글")
    lines = [
        {"text": "nul\u0000 and \u0007bell", "a": 1},
        {"text": decomposed, "a": 0},
        {"text": "half \ud83d pair", "a": 0},
        {"text": "two\r\nlines", "a": 0},
    ]
    path = here.file("".join(json.dumps(line) + "\n" for line in lines), "texts.jsonl")
    report = here.ingest(path)
    assert here.column("text") == ["nul and bell", "한글", "half  pair", "two\nlines"]
    assert report["changed"] == {"unicode": 1, "line_breaks": 1, "control": 2, "cut": 0}
    assert "1 texts had another Unicode form and were brought to NFC" in report["warnings"]


def test_texts_equal_only_after_cleaning_are_duplicates(here: Here) -> None:
    lines = [{"text": "한글", "a": 1}, {"text": unicodedata.normalize("NFD", " 한글\x00"), "a": 1}]
    path = here.file("".join(json.dumps(line) + "\n" for line in lines), "texts.jsonl")
    assert here.ingest(path)["rows_dropped"]["duplicate"] == 1


def test_special_tokens_are_counted(here: Here) -> None:
    report = here.ingest(here.file(f"{HEADER}a </s> b </s>\t1\t0\nx [MASK] <|im_end|>\t0\t1\n"))
    assert report["special_tokens"] == {"</s>": 1, "<|im_end|>": 1, "[MASK]": 1}
    assert any("control tokens" in line for line in report["headline"])


REPEATED = HEADER + "same\t1\t0\nother\t0\t1\nsame\t1\t0\n"
CONTRADICTED = HEADER + "same\t1\t0\nother\t0\t1\nsame\t0\t1\n"


def test_duplicates(here: Here) -> None:
    path = here.file(REPEATED)
    message = here.fault(path, on_duplicates="error")
    assert f"equal texts with equal labels: {path}, line 2 and {path}, line 4" in message
    assert here.ingest(path)["rows_dropped"]["duplicate"] == 1
    assert here.column("text") == ["same", "other"]
    report = here.ingest(path, on_duplicates="keep")
    assert here.column("text") == ["same", "other", "same"]
    assert "1 texts repeat an earlier one and were kept" in report["warnings"]


def test_conflicts(here: Here) -> None:
    path = here.file(CONTRADICTED)
    message = here.fault(path, on_conflict="error")
    assert f"equal texts with different labels: {path}, line 2 and {path}, line 4" in message
    assert "classify.ingest.on_conflict" in message
    assert here.ingest(path)["rows_dropped"]["conflict"] == 2
    assert here.column("text") == ["other"]
    here.ingest(path, on_conflict="keep")
    assert here.column("labels") == [[1, 0], [0, 1], [0, 1]]


def test_an_official_test_keeps_texts_without_letters_too(here: Here) -> None:
    texts, tested = here.file(HEADER + ROWS), here.file(HEADER + "~~~\t0\t1\n", "test.tsv")
    assert f"{tested}, line 2" in here.fault(texts, test=(tested,))
    report = here.ingest(texts, test=(tested,), on_empty="drop")
    assert here.column("text")[0] == "~~~"
    assert report["rows_dropped"]["empty"] == 0
    assert any("1 texts of the official test have no letter" in n for n in report["headline"])


def test_an_official_test_stays_whole(here: Here) -> None:
    report = here.ingest(here.file(HEADER + ROWS), test=(here.file(CONTRADICTED, "test.tsv"),))
    assert report["rows"] == {"texts": 3, "test_texts": 3}
    assert "of which 3 are the official test" in report["headline"][0]
    assert report["labels"]["joy"] == {"texts": 1, "test_texts": 2}


def test_ids_that_are_there_twice_or_not(here: Here) -> None:
    path = here.file("key\ttext\ta\nx\tone\t1\nx\ttwo\t0\n\tthree\t0\n")
    message = here.fault(path, columns={"id": "key"})
    assert f"'x' in {path}, line 2 and {path}, line 3" in message
    assert f"rows without an id: {path}, line 4" in message
    assert "classify.ingest.columns.id=null" in message


def test_numbers_are_ids_across_files(here: Here) -> None:
    here.ingest(here.file(HEADER + ROWS), test=(here.file(HEADER + ROWS, "test.tsv"),))
    assert here.column("id") == ["test-0", "test-1", "test-2", "0", "1", "2"]


def test_a_label_without_a_positive_is_said(here: Here) -> None:
    report = here.ingest(here.file(HEADER + "one\t1\t0\ntwo\t0\t0\n"))
    assert any("label 'joy' has no positive" in line for line in report["headline"])


def test_files_that_cannot_be_read(here: Here) -> None:
    assert "is empty" in here.fault(here.file(HEADER))
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), here.folder / "no.parquet")
    assert "no.parquet is empty" in here.fault(here.folder / "no.parquet")
    assert "is empty" in here.fault(here.file(""))
    assert "there is no file of texts" in here.fault()
    korean = here.file("text\ta\n한글\t1\n".encode("cp949"))
    message = here.fault(korean)
    assert f"{korean}, line 2" in message
    assert "cp949" in message
    broken = here.file('{"text": "a", "x": 1}\n{"text": \n', "broken.jsonl")
    assert f"{broken}, line 2: no JSON" in here.fault(broken)
    here.ingest(korean, encoding="cp949")
    assert here.column("text") == ["한글"]


def test_the_report_is_json(here: Here) -> None:
    report = here.ingest(here.file(HEADER + ROWS))
    assert json.loads(json.dumps(report)) == report
