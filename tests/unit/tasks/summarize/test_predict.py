"""Predictions as files: of whom, in which order, under which names, and what is reported."""

import csv
import json
import logging
import pickle

import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import DataError
from seqtune.tasks.summarize import predict as predict_module
from seqtune.tasks.summarize import scorer
from seqtune.tasks.summarize.ensemble import open_model
from seqtune.tasks.summarize.params import PredictConfig
from seqtune.tasks.summarize.predict import predict

from .checkpoint_folders import trained, write_checkpoint, write_ensemble
from .examples import config_of, rows, write_split

SETTINGS = PredictConfig(batch_size=4)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def submitted(out):
    with (out / "submission.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_test_part_in_its_order(three, food, out):
    report = predict(three["m3"], food, SETTINGS, new_rows=(), out=out)
    table = pq.read_table(out / "predictions.parquet")
    assert table.column_names == ["id", "part", "summary"]
    assert table["id"].to_pylist() == food.ids("test")
    assert set(table["part"].to_pylist()) == {"test"}
    expected = open_model(three["m3"]).summarise(food.dialogues("test"), batch_size=4).texts
    assert table["summary"].to_pylist() == expected
    assert submitted(out) == [["fname", "summary"], *map(list, zip(food.ids("test"), expected))]  # noqa: B905
    assert report["headline"][0] == "8 dialogues of test summarised"
    assert (report["rows"], report["part"], report["weights"]) == (8, "test", "best")
    assert json.loads(json.dumps(report)) == report
    assert sorted(path.name for path in out.iterdir()) == ["predictions.parquet", "submission.csv"]


def test_chunks_keep_the_order(three, food, out, monkeypatch, caplog):
    monkeypatch.setattr(predict_module, "CHUNK_BATCHES", 1)
    monkeypatch.setattr(scorer, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO):
        predict(three["m3"], food, PredictConfig(batch_size=3), new_rows=(), out=out)
    assert pq.read_table(out / "predictions.parquet")["id"].to_pylist() == food.ids("test")
    told = [r.getMessage() for r in caplog.records if "dialogues summarised" in r.getMessage()]
    assert [line.split(",")[0] for line in told] == [
        "3 of 8 dialogues summarised",
        "6 of 8 dialogues summarised",
        "8 of 8 dialogues summarised",
    ]


def test_valid_where_there_is_no_test_and_nothing_where_there_is_neither(tmp_path, three, out):
    valid = write_split(tmp_path / "valid", rows(8), rows(3, start=8))
    report = predict(three["m1"], valid, SETTINGS, new_rows=(), out=out)
    assert (report["part"], report["rows"]) == ("valid", 3)
    full = write_split(tmp_path / "full", rows(8))
    with pytest.raises(DataError, match="neither a test nor a valid part to summarise"):
        predict(three["m1"], full, SETTINGS, new_rows=(), out=out)


def test_an_ensemble_predicts(tmp_path, three, food, out):
    ensemble = write_ensemble(tmp_path / "e", {three["m1"]: 0.4, three["m3"]: 0.6})
    report = predict(ensemble, food, SETTINGS, new_rows=(), out=out)
    assert report["ensemble"] == str(ensemble)
    assert report["rows"] == 8


def backwards(opener, num_parts):
    """Each part made by another process, as it were, the last one first."""
    made = [pickle.loads(pickle.dumps(opener))()(n) for n in reversed(range(num_parts))]
    return reversed(made)


@pytest.mark.parametrize("is_ensemble", [False, True])
def test_any_process_can_write_any_chunk(tmp_path, three, food, out, monkeypatch, is_ensemble):
    monkeypatch.setattr(predict_module, "CHUNK_BATCHES", 1)
    path = three["m3"]
    if is_ensemble:
        path = write_ensemble(tmp_path / "e", {three["m1"]: 0.4, three["m3"]: 0.6})
    whole = predict(path, food, SETTINGS, new_rows=(), out=out)
    before = pq.read_table(out / "predictions.parquet")
    assert predict(path, food, SETTINGS, new_rows=(), out=out, spread=backwards) == whole
    assert pq.read_table(out / "predictions.parquet").equals(before)


# ---- new rows ------------------------------------------------------------------------------------


def test_new_rows_need_no_summary(tmp_path, three, food, out):
    file = tmp_path / "new.csv"
    file.write_text(
        'fname,dialogue\nn1,"#Person1#: Hello, I want tea.\n#Person2#: Fine."\n'
        'n2,"#Person1#: Hello, I want rice, please."\n',
        encoding="utf-8",
    )
    report = predict(three["m3"], food, SETTINGS, new_rows=(file,), out=out)
    found = pq.read_table(out / "predictions.parquet").to_pylist()
    assert [(row["id"], row["part"]) for row in found] == [("n1", "new"), ("n2", "new")]
    assert all(row["summary"] for row in found)
    assert report["headline"][0] == "2 new dialogues summarised"
    assert report["rows_from"] == [str(file)]


def test_rows_without_ids_are_numbered(tmp_path, three, food, out):
    file = tmp_path / "new.jsonl"
    file.write_text('{"dialogue": "한국어도 됩니다"}\n{"dialogue": "tea, \\"please\\""}\n', "utf-8")
    predict(three["m3"], food, SETTINGS, new_rows=(file,), out=out)
    assert [row[0] for row in submitted(out)] == ["fname", "0", "1"]


def test_the_users_own_names_of_columns(tmp_path, food, tiny_bart, out):
    config = config_of(
        tiny_bart,
        ingest={"columns": {"id": "key", "dialogue": "talk", "summary": "gist"}},
        generation={"beams": 1, "max_new_tokens": 4},
    )
    checkpoint = write_checkpoint(tmp_path / "c", trained(config, food, steps=0), config, food)
    file = tmp_path / "new.csv"
    file.write_text("key,talk\n7,tea please\n", encoding="utf-8")
    report = predict(checkpoint, food, SETTINGS, new_rows=(file,), out=out)
    assert submitted(out) == [["key", "gist"], ["7", ""]]
    assert "1 summaries are empty" in report["headline"]
    bad = tmp_path / "bad.csv"
    bad.write_text("id,talk\n7,tea please\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad.csv has no column 'key'.*ingest.columns.id"):
        predict(checkpoint, food, SETTINGS, new_rows=(bad,), out=out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fname,talk\n1,tea\n", r"has no column 'dialogue'.*summarize.ingest.columns.dialogue"),
        ("fname,dialogue\n1,tea\n2,...\n3,\n", r"without a dialogue: .*line 3; .*line 4. Give"),
        ("fname,dialogue\n1,tea\n1,milk\n", r"ids must be unique over all files: '1' in .*line 2"),
        ("", "is empty"),
        ("fname,dialogue\n", "is empty"),
    ],
)
def test_bad_rows_are_named_before_anything_is_written(tmp_path, three, food, out, text, message):
    file = tmp_path / "new.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        predict(three["m1"], food, SETTINGS, new_rows=(file,), out=out)
    assert list(out.iterdir()) == []


def test_empty_rows_are_left_out_and_counted_where_wanted(tmp_path, food, tiny_bart, out):
    config = config_of(
        tiny_bart, ingest={"on_empty": "drop"}, generation={"beams": 1, "max_new_tokens": 4}
    )
    checkpoint = write_checkpoint(tmp_path / "c", trained(config, food, steps=0), config, food)
    file = tmp_path / "new.jsonl"
    file.write_text('{"fname": "a", "dialogue": ""}\n{"fname": "b", "dialogue": "tea"}\n', "utf-8")
    report = predict(checkpoint, food, SETTINGS, new_rows=(file,), out=out)
    assert [row[0] for row in submitted(out)] == ["fname", "b"]
    assert report["rows_empty"] == 1
    assert "1 rows without a dialogue were left out (on_empty=drop)" in report["headline"]


def test_broken_lines_and_other_types_are_named(tmp_path, three, food, out):
    file = tmp_path / "new.jsonl"
    file.write_text('{"fname": "a", "dialogue": "tea"}\n{"fname": \n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2: invalid JSON"):
        predict(three["m1"], food, SETTINGS, new_rows=(file,), out=out)
    file.write_text('{"fname": "a", "dialogue": ["tea"]}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1 holds \['tea'\] \(list\)"):
        predict(three["m1"], food, SETTINGS, new_rows=(file,), out=out)


def test_very_long_and_very_short_dialogues(tmp_path, three, food, out):
    file = tmp_path / "new.jsonl"
    texts = ["tea " * 25_000, "a", "ㄱ"]
    lines = [json.dumps({"fname": str(n), "dialogue": text}) for n, text in enumerate(texts)]
    file.write_text("\n".join(lines), encoding="utf-8")
    report = predict(three["m3"], food, SETTINGS, new_rows=(file,), out=out)
    assert report["rows"] == 3
    assert any("longer than max_characters" in line for line in report["headline"])
