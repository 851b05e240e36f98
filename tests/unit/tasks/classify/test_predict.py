"""Predictions as files: whose, in which order, decided how, and what is reported."""

import csv
import json
import pickle
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtune.core.errors import ArtifactError, DataError
from seqtune.tasks.classify import ensemble
from seqtune.tasks.classify import predict as predict_module
from seqtune.tasks.classify.decisions import HELD_OUT
from seqtune.tasks.classify.ensemble import open_model
from seqtune.tasks.classify.evaluate import evaluate
from seqtune.tasks.classify.params import PredictConfig
from seqtune.tasks.classify.predict import predict

from .examples import LABELS, generated, make_split
from .fixed_logits import load_fixed, write_ensemble, write_logits

NEW = "text\nbread soup\nball goal run\n나쁜 말\n"


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def fixed_model(tmp_path, monkeypatch):
    """A checkpoint whose logits of a new text are its length less 3, 6 and 9."""
    monkeypatch.setattr(ensemble, "load_classifier", load_fixed)
    data = make_split(tmp_path / "split")
    logits = {part: 4.0 * data.targets(part) - 3.0 for part in ("valid", "test")}
    return write_logits(tmp_path / "checkpoint", data, **logits), data


def written(out):
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    with (out / "submission.csv").open(encoding="utf-8", newline="") as file:
        submitted = list(csv.DictReader(file))
    for row, other in zip(rows, submitted, strict=True):
        assert other == {"id": row["id"], **{label: str(row[label]) for label in LABELS}}
    return rows


def given(rows):
    return [[label for label in LABELS if row[label]] for row in rows]


def predict_for(content, fixed_model, out, *, name="new.csv", **settings):
    path = out.parent / name
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    checkpoint, data = fixed_model
    return predict(checkpoint, data, PredictConfig(**settings), new_rows=(path,), out=out)


def test_what_was_held_out_is_labelled(fixed_model, out):
    checkpoint, data = fixed_model
    report = predict(checkpoint, data, PredictConfig(), new_rows=(), out=out)
    rows = written(out)
    assert [row["part"] for row in rows] == ["valid"] * 24 + ["test"] * 24
    assert [row["text"] for row in rows] == data.texts("valid") + data.texts("test")
    truth = np.concatenate([data.targets("valid"), data.targets("test")])
    assert [[row[label] for label in LABELS] for row in rows] == truth.tolist()
    assert list(rows[0]) == ["id", "part", "text", *(f"p({name})" for name in LABELS), *LABELS]
    assert report["labels_given"] == dict(zip(LABELS, truth.sum(0).tolist(), strict=True))
    assert report["without_labels"] == int((truth.sum(1) == 0).sum())
    assert report["headline"] == [
        f"48 texts, {truth.sum()} labels given (thresholds tuned on valid)"
    ]
    assert json.loads(json.dumps(report)) == report
    assert sorted(path.name for path in out.iterdir()) == ["predictions.parquet", "submission.csv"]


def test_thresholds_are_those_of_the_report_of_metrics(fixed_model, out):
    checkpoint, data = fixed_model
    report = predict(checkpoint, data, PredictConfig(), new_rows=(), out=out)
    assert report["thresholds"] == evaluate(checkpoint, data)["thresholds"]
    half = predict(checkpoint, data, PredictConfig(thresholds="half"), new_rows=(), out=out)
    assert set(half["thresholds"].values()) == {0.5}
    assert half["headline"][0].endswith("(threshold 0.5, as configured)")


def test_an_ensemble_brings_its_own_thresholds(tmp_path, fixed_model, out):
    checkpoint, data = fixed_model
    thresholds = dict(zip(LABELS, (0.1, 0.2, 0.99), strict=True))
    path = write_ensemble(tmp_path / "e", {checkpoint: 1.0}, decision={"thresholds": thresholds})
    report = predict(path, data, PredictConfig(), new_rows=(), out=out)
    assert report["thresholds"] == thresholds
    assert "thresholds of the ensemble" in report["headline"][0]
    assert report["labels_given"]["나쁨"] == 0  # none is as sure as that


def test_new_texts_need_no_labels(fixed_model, out):
    report = predict_for(
        "text\nab\nabcd\nabcdefg\nabcdefghij\n", fixed_model, out, thresholds="half"
    )
    rows = written(out)
    assert [row["id"] for row in rows] == ["0", "1", "2", "3"]
    assert given(rows) == [[], ["food"], ["food", "sport"], list(LABELS)]
    assert rows[1]["p(food)"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert list(rows[0]) == ["id", "text", *(f"p({name})" for name in LABELS), *LABELS]
    assert (report["rows"], report["without_labels"]) == (4, 1)


def test_labels_that_are_there_are_not_looked_at(fixed_model, out):
    predict_for("text,food,sport,나쁨\nab,1,1,1\n", fixed_model, out)
    assert given(written(out)) == [[]]


def test_chunks_do_not_change_predictions(fixed_model, out, monkeypatch):
    texts = "text\n" + "\n".join("abcdefghijk"[: 1 + n % 11] for n in range(50))
    predict_for(texts, fixed_model, out)
    whole = written(out)
    monkeypatch.setattr(predict_module, "CHUNK_BATCHES", 2)
    predict_for(texts, fixed_model, out, batch_size=3)
    assert written(out) == whole
    assert pq.ParquetFile(out / "predictions.parquet").num_row_groups == 9


def with_columns(fixed_model, **columns):
    checkpoint, _ = fixed_model
    manifest = json.loads((checkpoint / "checkpoint.json").read_text())
    manifest["config"]["ingest"]["columns"] |= columns
    (checkpoint / "checkpoint.json").write_text(json.dumps(manifest))


def test_columns_are_those_of_ingest(fixed_model, out):
    with_columns(fixed_model, text="문장", id="번호")
    predict_for('번호\t문장\n가1\ta\n"2"\tabcdefg\n', fixed_model, out, name="new.tsv")
    assert [row["id"] for row in written(out)] == ["가1", '"2"']


def test_quotes_commas_and_line_breaks_survive(fixed_model, out):
    predict_for('text\n"a, ""b""\nc"\n', fixed_model, out)
    assert written(out)[0]["text"] == 'a, "b"\nc'


def test_parquet_and_jsonl_are_read(fixed_model, out):
    path = out.parent / "new.parquet"
    pq.write_table(pa.table({"text": ["abcd", "한글"]}), path)
    checkpoint, data = fixed_model
    predict(checkpoint, data, PredictConfig(), new_rows=(path,), out=out)
    assert [row["text"] for row in written(out)] == ["abcd", "한글"]
    predict_for('{"text": "abcd"}\n{"text": "한글"}\n', fixed_model, out, name="new.jsonl")
    assert [row["text"] for row in written(out)] == ["abcd", "한글"]


def test_texts_are_cleaned_as_ingest_cleans_them(fixed_model, out):
    raw = " \ufeff" + unicodedata.normalize("NFD", "나쁜 말") + "\r\nab\x07cd  "
    report = predict_for(json.dumps({"text": raw}) + "\n", fixed_model, out, name="new.jsonl")
    (row,) = written(out)
    assert row["text"] == "나쁜 말\nabcd"
    # and it is the clean text that is scored: its length decides
    assert row["p(food)"] == pytest.approx(1 / (1 + np.exp(3 - len(row["text"]))))
    assert [line for line in report["headline"] if "1 texts had" in line] == report["headline"][1:]
    assert len(report["headline"]) == 4


def test_empty_texts_get_an_answer_and_are_counted(fixed_model, out):
    report = predict_for('text\n"  "\n!?\nabcd\n', fixed_model, out)
    assert len(written(out)) == 3
    assert "2 texts have no letter or digit; they were scored" in report["headline"]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("txt\nab\n", "new.csv", r"new\.csv has no column 'text'; did you mean.*columns\.text"),
        ("text\n", "new.csv", "is empty"),
        ("", "new.csv", "is empty"),
        ("text\nab\na,b\n", "new.csv", r"new\.csv, line 3: 2 fields"),
        ('{"text": "a"}\n{"text": null}\n', "new.jsonl", r"must hold texts: .*line 2 holds null"),
        ('{"text": "a"}\n{"text": 7}\n', "new.jsonl", r"line 2 holds 7 \(int\)"),
        ('{"text": "a"}\n{"te\n', "new.jsonl", r"line 2: invalid JSON"),
        ("text\n한글\n".encode("cp949"), "new.csv", r"line 2: byte \d+ is not utf-8"),
        (b"no parquet", "new.parquet", "cannot be read as Parquet"),
    ],
)
def test_bad_files_are_refused(fixed_model, out, content, name, message):
    with pytest.raises(DataError, match=message):
        predict_for(content, fixed_model, out, name=name)


def test_a_table_without_rows_is_refused(fixed_model, out):
    path = out.parent / "new.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    checkpoint, data = fixed_model
    with pytest.raises(DataError, match=r"new\.parquet is empty"):
        predict(checkpoint, data, PredictConfig(), new_rows=(path,), out=out)


def test_rows_without_an_id_are_refused(fixed_model, out):
    with_columns(fixed_model, id="id")
    with pytest.raises(
        DataError, match=r"column 'id' must have an id in each row: .*line 3 is empty"
    ):
        predict_for("id,text\na,b\n,c\n", fixed_model, out)


def test_labels_that_are_called_like_columns_keep_their_names(tmp_path, monkeypatch, out):
    monkeypatch.setattr(ensemble, "load_classifier", load_fixed)
    labels = ("id", "text", "part")
    data = make_split(tmp_path / "split", labels=labels)
    logits = {part: 4.0 * data.targets(part) - 3.0 for part in ("valid", "test")}
    checkpoint = write_logits(tmp_path / "c", data, **logits)
    predict(checkpoint, data, PredictConfig(), new_rows=(), out=out)
    table = pq.read_table(out / "predictions.parquet")
    assert table.column_names[:3] == ["id_", "part_", "text_"]
    assert table.column_names[-3:] == list(labels)


def test_nothing_to_predict_for_is_refused(tmp_path, fixed_model, out):
    checkpoint, _ = fixed_model
    empty = make_split(tmp_path / "full", valid=[], test=[])
    with pytest.raises(
        DataError, match="has neither valid nor test rows, and there are no new texts"
    ):
        predict(checkpoint, empty, PredictConfig(), new_rows=(), out=out)


def test_other_labels_are_refused(tmp_path, fixed_model, out):
    checkpoint, _ = fixed_model
    other = make_split(tmp_path / "other", labels=("a", "b", "c"))
    with pytest.raises(ArtifactError, match="was trained on another data set"):
        predict(checkpoint, other, PredictConfig(), new_rows=(), out=out)


def test_a_trained_checkpoint_predicts_texts_of_all_lengths(small_checkpoint, small_data, out):
    texts = ["a", "", "bread " * 5000, *(text for text, _ in generated(40, seed=8))]
    path = out.parent / "new.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    settings = PredictConfig(batch_size=2)
    report = predict(small_checkpoint, small_data, settings, new_rows=(path,), out=out)
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    assert [row["text"] for row in rows][3:] == texts[3:]
    assert len(rows[2]["text"]) < 20_001
    found = np.array([[row[f"p({label})"] for label in LABELS] for row in rows])
    alone = open_model(small_checkpoint).probabilities(texts, batch_size=64)
    np.testing.assert_allclose(found, alone, atol=1e-6)
    thresholds = np.array(list(report["thresholds"].values()))
    assert [[row[label] for label in LABELS] for row in rows] == (found >= thresholds).tolist()
    assert "1 texts were longer than max_characters and were cut" in report["headline"]


def backwards(opener, num_parts):
    """Each part made by another process, as it were, the last one first."""
    made = [pickle.loads(pickle.dumps(opener))()(n) for n in reversed(range(num_parts))]
    return reversed(made)


@pytest.mark.parametrize("is_new", [False, True])
def test_any_process_can_make_any_piece(small_checkpoint, small_data, out, monkeypatch, is_new):
    monkeypatch.setattr(predict_module, "CHUNK_BATCHES", 1)
    path = out.parent / "new.csv"
    path.write_text(NEW)
    settings, new = PredictConfig(batch_size=2), (path,) if is_new else ()
    whole = predict(small_checkpoint, small_data, settings, new_rows=new, out=out)
    before = pq.read_table(out / "predictions.parquet")
    again = predict(small_checkpoint, small_data, settings, new_rows=new, out=out, spread=backwards)
    assert again == whole
    assert pq.read_table(out / "predictions.parquet").equals(before)
    if not is_new:
        known = np.concatenate(
            [open_model(small_checkpoint).probabilities_of(small_data, p) for p in HELD_OUT]
        )
        found = np.array([before[f"p({label})"] for label in small_data.labels]).T
        assert np.array_equal(found, known)  # as evaluate scores them
