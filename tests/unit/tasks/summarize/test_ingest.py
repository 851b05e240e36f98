"""Raw dialogues with summaries: what is taken, what is refused with its line, what is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import ConfigurationError
from seqtune.core.task import Report
from seqtune.tasks.summarize import TASK
from seqtune.tasks.summarize.ingest import ROLES
from seqtune.tasks.summarize.params import SummarizeConfig
from text_stages import IngestStage

Values = dict[str, Any]


def row(number: int = 0, **more: Any) -> Values:
    return {
        "fname": f"d{number}",
        "dialogue": f"#Person1#: Hello {number}.\n#Person2#: Hi.",
        "summary": f"They greet {number} times.",
        **more,
    }


class DialogueIngest(IngestStage):
    task, config = TASK, SummarizeConfig

    def lines(self, rows: Sequence[Values], name: str = "dialogues.jsonl") -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        return path

    def ingest(self, *files: Path | None, **settings: Any) -> Report:
        """Ingest files of each role, in their order."""
        given = [*files, None, None, None][:3]
        sources = {role: (file,) if file else () for role, file in zip(ROLES, given, strict=True)}
        return self.ingest_sources(sources, **settings)


@pytest.fixture
def stage(tmp_path: Path) -> DialogueIngest:
    return DialogueIngest(tmp_path)


def test_dialogues_summaries_topics_and_ids(stage: DialogueIngest) -> None:
    path = stage.lines([row(0, topic="greeting"), row(1, topic=None)])
    report = stage.ingest(path, columns={"topic": "topic"})
    assert stage.column("id") == ["d0", "d1"]
    assert stage.column("dialogue")[0] == "#Person1#: Hello 0.\n#Person2#: Hi."
    assert stage.column("summaries") == [["They greet 0 times."], ["They greet 1 times."]]
    assert stage.column("topic") == ["greeting", None]
    assert report["headline"] == ["ingest: 2 dialogues"]
    assert report["references"] == {"1": 2}
    assert json.loads(json.dumps(report)) == report


def test_csv_with_line_breaks_in_quotes_and_parquet(stage: DialogueIngest) -> None:
    path = stage.folder / "dialogues.csv"
    path.write_bytes(
        'fname,dialogue,summary\r\nd0,"#Person1#: 안녕\r\n#Person2#: 네",인사한다\r\n'.encode()
    )
    report = stage.ingest(path)
    assert stage.column("dialogue") == ["#Person1#: 안녕\n#Person2#: 네"]
    assert report["changed"]["dialogues"]["line_breaks"] == 1
    table = stage.folder / "dialogues.parquet"
    pq.write_table(pa.table({name: [value] for name, value in row().items()}), table)
    stage.ingest(table)
    assert stage.column("summaries") == [["They greet 0 times."]]


def test_several_references_in_the_test(stage: DialogueIngest) -> None:
    tested = row(9, summary1="one", summary2="two", summary10="ten", topic1="greeting")
    del tested["summary"]
    report = stage.ingest(stage.lines([row()]), None, stage.lines([tested], "test.jsonl"))
    assert stage.column("summaries") == [["one", "two", "ten"], ["They greet 0 times."]]
    assert stage.column("role") == ["test_dialogues", "dialogues"]
    assert report["references"] == {"1": 1, "3": 1}
    assert report["headline"][0] == "ingest: 1 dialogues, 1 official test"


def test_an_empty_reference_among_several_is_left_out(stage: DialogueIngest) -> None:
    one = {"fname": "x", "dialogue": "Hi there", "summary1": "one", "summary2": "", "summary3": "c"}
    stage.ingest(stage.lines([one]))
    assert stage.column("summaries") == [["one", "c"]]


def test_rows_are_numbered_where_the_usual_id_is_missing(stage: DialogueIngest) -> None:
    rows = [{key: value for key, value in row(n).items() if key != "fname"} for n in range(2)]
    path = stage.lines(rows)
    report = stage.ingest(path)
    assert stage.column("id") == ["0", "1"]
    assert f"{path}: no column 'fname'; their rows are numbered" in report["headline"]
    quiet = stage.ingest(path, columns={"id": None})
    assert quiet["warnings"] == []


def test_an_id_that_was_asked_for_must_be_there(stage: DialogueIngest) -> None:
    message = stage.fault(stage.lines([row()]), columns={"id": "key"})
    assert "no column 'key'" in message
    assert "summarize.ingest.columns.id" in message


def test_missing_columns_show_those_that_are_there(stage: DialogueIngest) -> None:
    path = stage.lines([{"fname": "x", "Dialogues": "a", "text": "b"}])
    message = stage.fault(path)
    assert f"{path} has no column 'dialogue'; did you mean 'Dialogues'?" in message
    assert f"{path} has no column 'summary'" in message
    assert "summarize.ingest.columns.summary" in message


def test_a_missing_topic_is_left_open(stage: DialogueIngest) -> None:
    report = stage.ingest(stage.lines([row()]), columns={"topic": "topic"})
    assert stage.column("topic") == [None]
    assert any("no column 'topic'; their topics are left open" in n for n in report["warnings"])


def test_missing_summaries_and_dialogues(stage: DialogueIngest) -> None:
    without = row(1)
    del without["summary"]
    path = stage.lines([row(0), without, row(2, summary=" "), row(3, dialogue="...")])
    message = stage.fault(path)
    assert f"rows without a summary: {path}, line 2; {path}, line 3." in message
    assert f"rows without a dialogue: {path}, line 4." in message
    assert "summarize.ingest.on_empty=drop" in message
    report = stage.ingest(path, on_empty="drop")
    assert stage.column("id") == ["d0"]
    assert report["rows_dropped"]["empty"] == 3
    assert any("3 rows without a dialogue or a summary" in line for line in report["headline"])
    assert "none of the 1 rows" in DialogueIngest(_below(stage)).fault(
        stage.lines([row(0, summary="")]), on_empty="drop"
    )


def _below(stage: DialogueIngest) -> Path:
    folder = stage.folder / "below"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "null"), (7, "7 (int)"), (["a"], "['a'] (list)")]
)
def test_something_else_than_a_text(stage: DialogueIngest, value: Any, shown: str) -> None:
    path = stage.lines([row(0), row(1, summary=value), row(2, dialogue=value)])
    message = stage.fault(path, on_empty="drop")
    assert f"column 'summary' must hold texts: {path}, line 2 holds {shown}" in message
    assert f"column 'dialogue' must hold texts: {path}, line 3 holds {shown}" in message


def test_a_broken_line(stage: DialogueIngest) -> None:
    path = stage.lines([row()])
    path.write_text(path.read_text() + '{"fname": "d1", "dialogue": \n')
    assert f"{path}, line 2: invalid JSON" in stage.fault(path)


def test_special_tokens_are_counted_and_stay(stage: DialogueIngest) -> None:
    text = "#Person1#: I said </s> and <pad>.\n#Person2#: <|im_end|> </s>"
    report = stage.ingest(stage.lines([row(0, dialogue=text)]))
    assert report["special_tokens"] == {"</s>": 1, "<pad>": 1, "<|im_end|>": 1}
    assert stage.column("dialogue") == [text]
    assert any("</s> in 1" in line for line in report["headline"])


def test_long_dialogues_and_control_characters(stage: DialogueIngest) -> None:
    path = stage.lines([row(0, dialogue="word " * 20_000), row(1, summary="A\x00 sum\ud83dmary")])
    report = stage.ingest(path)
    assert len(stage.column("dialogue")[0]) == 49_999
    assert stage.column("summaries")[1] == ["A summary"]
    assert report["changed"]["dialogues"]["cut"] == 1
    assert report["changed"]["summaries"]["control"] == 1


def test_duplicates(stage: DialogueIngest) -> None:
    path = stage.lines([row(0), row(1), row(2, dialogue=row(0)["dialogue"] + " ")])
    message = stage.fault(path, on_duplicates="error")
    assert f"equal dialogues: {path}, line 1 and {path}, line 3" in message
    assert stage.ingest(path)["rows_dropped"]["duplicate"] == 1
    assert stage.column("id") == ["d0", "d1"]
    report = stage.ingest(path, on_duplicates="keep")
    assert stage.column("id") == ["d0", "d1", "d2"]
    assert "1 dialogues repeat an earlier one and were kept" in report["headline"]


def test_official_parts_stay_whole(stage: DialogueIngest) -> None:
    twice = [row(1), row(2, dialogue=row(1)["dialogue"])]
    valid = stage.lines(twice, "valid.jsonl")
    report = stage.ingest(stage.lines([row(0)]), valid)
    assert report["rows"] == {"dialogues": 1, "valid_dialogues": 2}


def test_ids_that_are_there_twice(stage: DialogueIngest) -> None:
    path, valid = stage.lines([row(0)]), stage.lines([row(0, dialogue="other")], "valid.jsonl")
    message = stage.fault(path, valid)
    assert (
        f"ids must be unique over all files: 'd0' in {valid}, line 1 and {path}, line 1" in message
    )
    assert "summarize.ingest.columns.id=null" in message


def test_a_column_named_twice(stage: DialogueIngest) -> None:
    with pytest.raises(ConfigurationError, match="'dialogue' more than once"):
        stage.ingest(stage.lines([row()]), columns={"summary": "dialogue"})


def test_no_file(stage: DialogueIngest) -> None:
    assert "there is no file of dialogues" in stage.fault()
