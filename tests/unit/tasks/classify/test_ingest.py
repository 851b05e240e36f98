"""Raw texts with labels: what is taken, what is refused with its line, what is counted."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import ConfigurationError
from seqtune.core.task import Report
from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.params import ClassifyConfig
from text_stages import IngestStage

HEADER = "text\tanger\tjoy\n"
ROWS = "so bad\t1\t0\nso good\t0\t1\nso what\t0\t0\n"


class LabelIngest(IngestStage):
    task, config = TASK, ClassifyConfig

    def file(self, text: str | bytes, name: str = "texts.tsv") -> Path:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def ingest(self, *files: Path, test: tuple[Path, ...] = (), **settings: Any) -> Report:
        return self.ingest_sources({"texts": files, "test_texts": test}, **settings)


@pytest.fixture
def stage(tmp_path: Path) -> LabelIngest:
    return LabelIngest(tmp_path)


def test_texts_labels_and_what_is_said(stage: LabelIngest) -> None:
    report = stage.ingest(stage.file(HEADER + ROWS))
    assert stage.column("text") == ["so bad", "so good", "so what"]
    assert stage.column("labels") == [[1, 0], [0, 1], [0, 0]]
    assert stage.column("id") == ["0", "1", "2"]
    assert stage.column("role") == ["texts"] * 3
    manifest = stage.opened().manifest
    assert manifest.facts["labels"] == ["anger", "joy"]
    assert manifest.made_with["ingest"]["max_characters"] == 20_000
    assert report["labels"] == {"anger": {"texts": 1}, "joy": {"texts": 1}}
    assert report["labels_of_a_text"] == {"0": 1, "1": 2}
    assert report["headline"] == ["ingest: 3 texts with 2 labels"]
    assert report["files"][0]["rows"] == 3


@pytest.mark.parametrize("name", ["texts.tsv", "texts.csv", "texts.jsonl", "texts.parquet"])
def test_every_format_gives_the_same(stage: LabelIngest, name: str) -> None:
    rows = [
        {"text": 'a "quoted" word', "anger": True, "joy": 0.0},
        {"text": "plain", "anger": 0, "joy": 1},
    ]
    path = stage.folder / name
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
    stage.ingest(path)
    assert stage.column("text") == ['a "quoted" word', "plain"]
    assert stage.column("labels") == [[1, 0], [0, 1]]


def test_labels_in_the_order_that_is_asked_for_and_ids(stage: LabelIngest) -> None:
    path = stage.file("key\ttext\ta\tb\tnote\nx1\tone\t1\t0\thm\nx2\ttwo\t0\t1\thm\n")
    stage.ingest(path, columns={"id": "key", "labels": ["b", "a"]})
    assert stage.column("id") == ["x1", "x2"]
    assert stage.column("labels") == [[0, 1], [1, 0]]


@pytest.mark.parametrize("value", ["2", "", "0.5", "yes", "nan", "-1"])
def test_a_label_other_than_0_and_1(stage: LabelIngest, value: str) -> None:
    path = stage.file(f"{HEADER}{ROWS}what now\t0\t{value}\n")
    message = stage.fault(path)
    assert f"labels must be 0 or 1: {path}, line 5: column 'joy' holds {value!r}" in message
    assert "classify.ingest.columns.ignore" in message


def test_labels_of_json_that_are_no_numbers(stage: LabelIngest) -> None:
    lines = [{"text": "one", "a": None}, {"text": "two", "a": [1]}, {"text": "three", "a": 1}]
    path = stage.file("".join(json.dumps(line) + "\n" for line in lines), "texts.jsonl")
    message = stage.fault(path)
    assert f"{path}, line 1: column 'a' holds None; {path}, line 2: column 'a' holds [1]" in message


def test_only_some_faults_are_named_and_all_are_counted(stage: LabelIngest) -> None:
    path = stage.file(HEADER + "".join(f"text {n}\t7\t0\n" for n in range(9)))
    message = stage.fault(path, max_examples=2)
    assert "line 2: " in message
    assert "line 3: " in message
    assert "line 4: " not in message
    assert "and 7 more" in message


def test_a_missing_text_column_shows_those_that_are_there(stage: LabelIngest) -> None:
    path = stage.file("문장\t악플/욕설\tclean\n안녕\t0\t1\n")
    message = stage.fault(path)
    assert f"{path} has no column 'text'" in message
    assert "clean, 문장, 악플/욕설" in message
    assert "classify.ingest.columns.text" in message


def test_a_missing_label_column_or_id(stage: LabelIngest) -> None:
    path = stage.file(HEADER + ROWS)
    message = stage.fault(path, columns={"labels": ["angr", "joy"]})
    assert "no column 'angr'; did you mean 'anger'?" in message
    assert "classify.ingest.columns.labels" in message
    assert "no column 'key'" in stage.fault(path, columns={"id": "key"})


def test_no_label_column_at_all(stage: LabelIngest) -> None:
    assert "no label column beside text" in stage.fault(stage.file("text\nhello\n"))


def test_files_must_have_the_same_labels(stage: LabelIngest) -> None:
    first = stage.file(HEADER + ROWS)
    fewer = stage.file("text\tanger\nabc\t1\n", "fewer.tsv")
    more = stage.file("text\tanger\tjoy\tfear\nabc\t1\t0\t0\n", "more.tsv")
    assert f"{fewer} has no column 'joy'" in stage.fault(first, test=(fewer,))
    message = stage.fault(first, test=(more,))
    assert f"{more} has the columns 'fear', which the first file lacks" in message
    stage.ingest(first, test=(more,), columns={"labels": ["anger", "joy"]})
    assert stage.column("role") == ["test_texts"] + ["texts"] * 3


def test_a_column_named_twice(stage: LabelIngest) -> None:
    with pytest.raises(ConfigurationError, match="'anger' more than once"):
        stage.ingest(stage.file(HEADER + ROWS), columns={"labels": ["anger"], "ignore": ["anger"]})


def test_empty_texts_are_refused_or_left_out(stage: LabelIngest) -> None:
    path = stage.file(HEADER + ROWS + "\t0\t1\n!!! ...\t1\t0\n")
    message = stage.fault(path)
    assert f"without a letter or digit: {path}, line 5 (''); {path}, line 6 ('!!! ...')" in message
    assert "classify.ingest.on_empty=drop" in message
    report = stage.ingest(path, on_empty="drop")
    assert report["rows_dropped"]["empty"] == 2
    assert "2 texts without a letter or digit were left out (on_empty=drop)" in report["headline"]
    assert len(stage.column("text")) == 3


def test_nothing_is_left(stage: LabelIngest) -> None:
    path = stage.file(HEADER + "...\t0\t1\n")
    assert "none of the 1 rows is usable" in stage.fault(path, on_empty="drop")


def test_null_instead_of_a_text(stage: LabelIngest) -> None:
    path = stage.file('{"text": null, "a": 1}\n{"text": 5, "a": 1}\n', "texts.jsonl")
    message = stage.fault(path)
    assert f"{path}, line 1 holds null; {path}, line 2 holds 5 (int)" in message


def test_short_and_long_texts(stage: LabelIngest) -> None:
    long = "word " * 20_000
    report = stage.ingest(stage.file(f"{HEADER}ㅋ\t1\t0\n{long}\t0\t1\n"))
    assert [len(text) for text in stage.column("text")] == [1, 19_999]
    assert report["changed"]["cut"] == 1
    assert "1 texts were longer than max_characters and were cut" in report["headline"]
    assert report["characters"]["min"] == 1


def test_control_characters_unicode_forms_and_half_surrogates(stage: LabelIngest) -> None:
    decomposed = unicodedata.normalize("NFD", "한글")
    lines = [
        {"text": "nul\u0000 and \u0007bell", "a": 1},
        {"text": decomposed, "a": 0},
        {"text": "half \ud83d pair", "a": 0},
        {"text": "two\r\nlines", "a": 0},
    ]
    path = stage.file("".join(json.dumps(line) + "\n" for line in lines), "texts.jsonl")
    report = stage.ingest(path)
    assert stage.column("text") == ["nul and bell", "한글", "half  pair", "two\nlines"]
    assert report["changed"] == {"unicode": 1, "line_breaks": 1, "control": 2, "cut": 0}
    assert "1 texts had another Unicode form and were brought to NFC" in report["warnings"]


def test_texts_equal_only_after_cleaning_are_duplicates(stage: LabelIngest) -> None:
    lines = [{"text": "한글", "a": 1}, {"text": unicodedata.normalize("NFD", " 한글\x00"), "a": 1}]
    path = stage.file("".join(json.dumps(line) + "\n" for line in lines), "texts.jsonl")
    assert stage.ingest(path)["rows_dropped"]["duplicate"] == 1


def test_special_tokens_are_counted(stage: LabelIngest) -> None:
    report = stage.ingest(stage.file(f"{HEADER}a </s> b </s>\t1\t0\nx [MASK] <|im_end|>\t0\t1\n"))
    assert report["special_tokens"] == {"</s>": 1, "<|im_end|>": 1, "[MASK]": 1}
    assert any("control tokens" in line for line in report["headline"])


REPEATED = HEADER + "same\t1\t0\nother\t0\t1\nsame\t1\t0\n"
CONTRADICTED = HEADER + "same\t1\t0\nother\t0\t1\nsame\t0\t1\n"


def test_duplicates(stage: LabelIngest) -> None:
    path = stage.file(REPEATED)
    message = stage.fault(path, on_duplicates="error")
    assert f"equal texts with equal labels: {path}, line 2 and {path}, line 4" in message
    assert stage.ingest(path)["rows_dropped"]["duplicate"] == 1
    assert stage.column("text") == ["same", "other"]
    report = stage.ingest(path, on_duplicates="keep")
    assert stage.column("text") == ["same", "other", "same"]
    assert "1 texts repeat an earlier one and were kept" in report["warnings"]


def test_conflicts(stage: LabelIngest) -> None:
    path = stage.file(CONTRADICTED)
    message = stage.fault(path, on_conflict="error")
    assert f"equal texts with different labels: {path}, line 2 and {path}, line 4" in message
    assert "classify.ingest.on_conflict" in message
    assert stage.ingest(path)["rows_dropped"]["conflict"] == 2
    assert stage.column("text") == ["other"]
    stage.ingest(path, on_conflict="keep")
    assert stage.column("labels") == [[1, 0], [0, 1], [0, 1]]


def test_an_official_test_keeps_texts_without_letters_too(stage: LabelIngest) -> None:
    texts, tested = stage.file(HEADER + ROWS), stage.file(HEADER + "~~~\t0\t1\n", "test.tsv")
    assert f"{tested}, line 2" in stage.fault(texts, test=(tested,))
    report = stage.ingest(texts, test=(tested,), on_empty="drop")
    assert stage.column("text")[0] == "~~~"
    assert report["rows_dropped"]["empty"] == 0
    assert any("1 texts of the official test have no letter" in n for n in report["headline"])


def test_an_official_test_stays_whole(stage: LabelIngest) -> None:
    report = stage.ingest(stage.file(HEADER + ROWS), test=(stage.file(CONTRADICTED, "test.tsv"),))
    assert report["rows"] == {"texts": 3, "test_texts": 3}
    assert "of which 3 are the official test" in report["headline"][0]
    assert report["labels"]["joy"] == {"texts": 1, "test_texts": 2}


def test_ids_that_are_there_twice_or_not(stage: LabelIngest) -> None:
    path = stage.file("key\ttext\ta\nx\tone\t1\nx\ttwo\t0\n\tthree\t0\n")
    message = stage.fault(path, columns={"id": "key"})
    assert f"'x' in {path}, line 2 and {path}, line 3" in message
    assert f"rows without an id: {path}, line 4" in message
    assert "classify.ingest.columns.id=null" in message


def test_numbers_are_ids_across_files(stage: LabelIngest) -> None:
    stage.ingest(stage.file(HEADER + ROWS), test=(stage.file(HEADER + ROWS, "test.tsv"),))
    assert stage.column("id") == ["test-0", "test-1", "test-2", "0", "1", "2"]


@pytest.mark.parametrize(("value", "what"), [(0, "positives"), (1, "negatives")])
def test_a_label_with_one_value_is_said(value: int, what: str, stage: LabelIngest) -> None:
    report = stage.ingest(stage.file(HEADER + f"one\t1\t{value}\ntwo\t0\t{value}\n"))
    assert f"label 'joy' has no {what} and cannot be learned" in report["headline"]
    assert len(report["warnings"]) == 1


def test_files_that_cannot_be_read(stage: LabelIngest) -> None:
    assert "is empty" in stage.fault(stage.file(HEADER))
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), stage.folder / "no.parquet")
    assert "no.parquet is empty" in stage.fault(stage.folder / "no.parquet")
    assert "is empty" in stage.fault(stage.file(""))
    assert "there is no file of texts" in stage.fault()
    korean = stage.file("text\ta\n한글\t1\n".encode("cp949"))
    message = stage.fault(korean)
    assert f"{korean}, line 2" in message
    assert "cp949" in message
    broken = stage.file('{"text": "a", "x": 1}\n{"text": \n', "broken.jsonl")
    assert f"{broken}, line 2: invalid JSON" in stage.fault(broken)
    stage.ingest(korean, encoding="cp949")
    assert stage.column("text") == ["한글"]


def test_the_report_is_json(stage: LabelIngest) -> None:
    report = stage.ingest(stage.file(HEADER + ROWS))
    assert json.loads(json.dumps(report)) == report
