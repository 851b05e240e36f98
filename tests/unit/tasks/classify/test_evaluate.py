"""Evaluation of checkpoints whose logits are known, and of one that was really trained."""

import json
import logging

import numpy as np
import pytest

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.errors import ArtifactError
from seqtune.core.metrics import exhibit, values_of
from seqtune.tasks.classify import TASK, ensemble
from seqtune.tasks.classify.baselines import learning_curve
from seqtune.tasks.classify.evaluate import evaluate
from seqtune.tasks.classify.metrics import decided_metrics, validation_metrics
from seqtune.tasks.classify.score_normalization import probabilities_of
from seqtune.tasks.classify.thresholds import best_thresholds, cross_fitted

from .examples import LABELS, generated, make_split
from .fixed_logits import load_fixed, write_ensemble, write_logits


@pytest.fixture
def fixed_logits(monkeypatch):
    monkeypatch.setattr(ensemble, "load_classifier", load_fixed)


def noisy(data, part, *, seed=0, shift=-1.5):
    """Logits that know more than nothing, and lie too low for a threshold of 0.5."""
    targets = data.targets(part)
    random = np.random.default_rng(seed)
    return 2.0 * targets + random.normal(size=targets.shape) + shift


@pytest.fixture
def data(tmp_path):
    return make_split(tmp_path / "split", valid=generated(60, seed=1), test=generated(50, seed=2))


@pytest.fixture
def checkpoint(tmp_path, data, fixed_logits):
    logits = {part: noisy(data, part) for part in ("valid", "test")}
    return write_logits(tmp_path / "checkpoint", data, **logits)


def test_test_is_decided_by_thresholds_of_valid(checkpoint, data):
    report = evaluate(checkpoint, data)
    valid, test = (
        (probabilities_of(noisy(data, part)), data.targets(part)) for part in ("valid", "test")
    )
    thresholds = best_thresholds(*valid).thresholds
    assert report["thresholds"] == dict(zip(LABELS, thresholds.tolist(), strict=True))
    found = report["parts"]["test"]
    for group, used in (("tuned", thresholds), ("at_half", 0.5)):
        expected = decided_metrics(*test, used)
        assert {name: row["model"] for name, row in found[group].items()} == expected
    assert found["tuned"]["macro_f1"]["model"] > found["at_half"]["macro_f1"]["model"]
    assert found["rows"] == 50


def test_valid_is_never_decided_by_its_own_thresholds(checkpoint, data):
    found = evaluate(checkpoint, data)["parts"]["valid"]["tuned"]["macro_f1"]["model"]
    probabilities, targets = probabilities_of(noisy(data, "valid")), data.targets("valid")
    own = best_thresholds(probabilities, targets).f1.mean()
    honest = cross_fitted(probabilities, targets, seed=0)
    assert found == decided_metrics(probabilities, targets, honest)["macro_f1"]
    assert found < own


def test_labels_of_test_change_no_threshold(tmp_path, checkpoint, data):
    rows = [(text, [1 - y for y in labels]) for text, labels in generated(50, seed=2)]
    turned = make_split(tmp_path / "turned", valid=generated(60, seed=1), test=rows)
    before, after = evaluate(checkpoint, data), evaluate(checkpoint, turned)
    assert before["thresholds"] == after["thresholds"]
    assert before["parts"]["valid"] == after["parts"]["valid"]
    assert before["parts"]["test"]["tuned"] != after["parts"]["test"]["tuned"]


def test_only_the_parts_asked_for(checkpoint, data):
    whole = evaluate(checkpoint, data)
    for part in ("valid", "test"):
        one = evaluate(checkpoint, data, parts=(part,))
        assert one["parts"] == {part: whole["parts"][part]}
        assert one["thresholds"] == whole["thresholds"]
        assert part in one["exhibits"]["classes"]["title"]
    assert evaluate(checkpoint, data, parts=())["parts"] == {}


def test_the_single_checkpoint_never_reads_test_unless_asked(checkpoint, data):
    (checkpoint / "test.npy").unlink()
    assert list(evaluate(checkpoint, data, parts=("valid",))["parts"]) == ["valid"]


def test_floors_stand_beside_every_metric(checkpoint, data):
    found = evaluate(checkpoint, data)["parts"]["valid"]
    groups = [name for name, group in found.items() if isinstance(group, dict)]
    assert groups == ["tuned", "at_half", "ranking", "f1_by_label"]
    columns = {name: {tuple(row) for row in found[name].values()} for name in groups}
    tuned, half = ("model", "tfidf_tuned", "prior"), ("model", "tfidf", "prior")
    assert columns == {
        "tuned": {tuned},
        "at_half": {half},
        "ranking": {half},
        "f1_by_label": {tuned},
    }
    assert list(found["f1_by_label"]) == list(LABELS)
    mean = np.mean([row["tfidf_tuned"] for row in found["f1_by_label"].values()])
    assert found["tuned"]["macro_f1"]["tfidf_tuned"] == pytest.approx(mean)


def test_an_ensemble_is_compared_by_the_tuned_number(checkpoint, data):
    report = evaluate(checkpoint, data)
    tuned = report["parts"]["valid"]["tuned"]
    assert values_of(report, "valid", "macro_f1") == tuned["macro_f1"]


def test_the_verdict_says_which_floor_is_not_reached(tmp_path, data, fixed_logits, caplog):
    caplog.set_level(logging.INFO)
    perfect = {part: 9.0 * data.targets(part) - 4.0 for part in ("valid", "test")}
    good = evaluate(write_logits(tmp_path / "good", data, **perfect), data)
    assert "the model beats both baselines (model 1.0000, tfidf_tuned 0." in good["headline"][0]
    blind = {part: np.zeros((data.num_rows(part), 3)) for part in ("valid", "test")}
    bad = evaluate(write_logits(tmp_path / "bad", data, **blind), data)
    assert "the model is BELOW both baselines: it is broken or undertrained" in bad["headline"][1]
    levels = {record.message: record.levelname for record in caplog.records}
    assert levels[good["headline"][0]] == "INFO"
    assert levels[bad["headline"][1]] == "WARNING"


def test_nothing_held_out_for_thresholds_leaves_a_half(tmp_path, fixed_logits):
    data = make_split(tmp_path / "s", valid=[], test=generated(20, seed=3))
    checkpoint = write_logits(tmp_path / "c", data, test=noisy(data, "test"))
    report = evaluate(checkpoint, data)
    assert set(report["thresholds"].values()) == {0.5}
    found = report["parts"]["test"]
    assert "tuned" not in found
    assert values_of(report, "test", "macro_f1") == found["at_half"]["macro_f1"]
    assert "0.5" in report["protocol"]


def test_an_ensemble_decides_by_its_manifest(tmp_path, data, fixed_logits):
    parts = {}
    for seed, share in ((1, 0.25), (2, 0.75)):
        logits = {part: noisy(data, part, seed=seed) for part in ("valid", "test")}
        parts[write_logits(tmp_path / f"c{seed}", data, fingerprint=f"{seed}" * 16, **logits)] = (
            share
        )
    thresholds = dict(zip(LABELS, (0.2, 0.3, 0.4), strict=True))
    decision = {"thresholds": dict(reversed(thresholds.items()))}
    path = write_ensemble(tmp_path / "e", parts, decision=decision)
    report = evaluate(path, data)
    assert report["thresholds"] == thresholds
    one, two = (probabilities_of(noisy(data, "test", seed=seed)) for seed in (1, 2))
    expected = decided_metrics(
        0.25 * one + 0.75 * two, data.targets("test"), np.array([0.2, 0.3, 0.4])
    )
    found = report["parts"]["test"]["tuned"]
    assert {name: row["model"] for name, row in found.items()} == expected
    assert "the ensemble" in report["headline"][0]
    assert "shares were tuned on the whole of valid" in report["protocol"]
    assert [member["weight"] for member in report["members"]] == [0.25, 0.75]


def test_the_floor_can_be_switched_off(tmp_path, data, fixed_logits):
    path = write_logits(tmp_path / "c", data, valid=noisy(data, "valid"), test=noisy(data, "test"))
    manifest = json.loads((path / "checkpoint.json").read_text())
    manifest["config"]["evaluation"]["floor"] = False
    (path / "checkpoint.json").write_text(json.dumps(manifest))
    report = evaluate(path, data)
    assert set(report["parts"]["test"]["tuned"]["macro_f1"]) == {"model", "prior"}
    assert report["exhibits"]["classes"]["columns"][-1] == "F1 of prior"
    assert not (data.path / "made").exists()


def test_report_is_json_and_repeats(checkpoint, data):
    report = evaluate(checkpoint, data)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report == evaluate(checkpoint, data)
    assert report["data_hash"] == data.content_hash
    assert report["fingerprint"] == "f" * 16
    named = {name for group in ("tuned", "ranking") for name in report["parts"]["valid"][group]}
    assert named <= set(report["definitions"])


def test_other_labels_are_refused_and_another_split_is_warned_of(tmp_path, checkpoint, caplog):
    other = make_split(tmp_path / "other", labels=("food", "나쁨", "sport"))
    with pytest.raises(ArtifactError, match="its labels are food, sport, 나쁨, not food, 나쁨"):
        evaluate(checkpoint, other)
    evaluate(checkpoint, make_split(tmp_path / "again", valid=generated(60, seed=1)), parts=())
    assert "trained on another split" in caplog.text


# ---- what is drawn -------------------------------------------------------------------------------

ROWS = [("a b", (1, 0, 0)), ("c d", (1, 1, 0)), ("e f", (0, 1, 0)), ("g h", (0, 0, 0))]


@pytest.fixture
def drawn(tmp_path, fixed_logits):
    """Three labels, the last of which nobody has; decided without a mistake but one."""
    data = make_split(tmp_path / "s", train=ROWS, valid=[], test=ROWS)
    logits = np.array([[3, -3, -3], [2, 1, -3], [1, 3, -3], [-2, -3, -3]])
    report = evaluate(write_logits(tmp_path / "c", data, test=logits), data)
    assert set(report["exhibits"]) == {*TASK.figures, *TASK.tables}
    return {name: exhibit(one) for name, one in report["exhibits"].items()}


def test_curves_by_hand(drawn):
    lines = {line.name: line for line in drawn["precision_recall"].lines}
    assert list(lines) == ["food", "sport"]  # nothing can be drawn of the third
    assert lines["food"].x == (1 / 2, 1.0, 1.0, 1.0)
    assert lines["food"].y == (1.0, 1.0, 2 / 3, 2 / 4)
    marks = {mark.name: (mark.x, mark.y) for mark in drawn["precision_recall"].marks}
    assert marks["food"] == ((1.0,), (2 / 3,))  # of three given at 0.5 two are right
    lines = {line.name: line for line in drawn["thresholds"].lines}
    assert lines["food"].y == (4 / 6, 4 / 5, 1.0, 2 / 3)
    assert lines["food"].x == tuple(sorted(lines["food"].x))
    assert {mark.name: mark.x for mark in drawn["thresholds"].marks}["food"] == (0.5,)


def test_matrices_by_hand(drawn):
    confusion = drawn["confusion"]
    assert confusion.rows == confusion.columns == (*LABELS, "(none)")
    assert confusion.values == (
        (1.0, 1 / 2, 0.0, 0.0),
        (1.0, 1.0, 0.0, 0.0),
        (None, None, None, None),
        (0.0, 0.0, 0.0, 1.0),
    )
    together = drawn["co_occurrence"]
    assert together.values == ((1.0, 1 / 2, 0.0), (1 / 2, 1.0, 0.0), (None, None, None))


def test_table_by_hand(drawn):
    table = drawn["classes"]
    assert table.columns[:6] == ("label", "positives", "precision", "recall", "F1", "threshold")
    assert table.rows[0][:6] == ("food", 2, 2 / 3, 1.0, 4 / 5, 0.5)
    assert table.rows[2][:6] == ("나쁨", 0, 0.0, 0.0, 0.0, 0.5)


def test_curves_of_many_texts_have_few_points(tmp_path, fixed_logits):
    data = make_split(tmp_path / "s", valid=generated(700, seed=1), test=[])
    report = evaluate(write_logits(tmp_path / "c", data, valid=noisy(data, "valid")), data)
    for name in ("precision_recall", "thresholds"):
        for line in report["exhibits"][name]["lines"]:
            assert 150 <= len(line["x"]) <= 200


def test_the_model_stands_beside_tfidf_by_labelled_texts(tmp_path, fixed_logits):
    data = make_split(tmp_path / "s", train=generated(300), valid=generated(50, seed=1), test=[])
    report = evaluate(write_logits(tmp_path / "c", data, valid=noisy(data, "valid")), data)
    lines = {line["name"]: line for line in report["exhibits"]["learning"]["lines"]}
    tuned = report["parts"]["valid"]["tuned"]["macro_f1"]
    assert lines["model"]["x"] == [300]
    assert lines["model"]["y"] == [tuned["model"]]
    assert lines["tfidf_tuned"]["x"] == [*learning_curve(data), 300]
    assert lines["tfidf_tuned"]["y"][-1] == tuned["tfidf_tuned"]


@pytest.mark.parametrize("valid", [[], ROWS])
def test_nothing_is_drawn_by_labelled_texts_if_valid_is_not_scored(tmp_path, fixed_logits, valid):
    data = make_split(tmp_path / "s", train=ROWS, valid=valid, test=ROWS)
    zeros = np.zeros((4, 3))
    checkpoint = write_logits(tmp_path / "c", data, valid=zeros, test=zeros)
    report = evaluate(checkpoint, data, parts=["test"])
    assert report["exhibits"]["learning"]["lines"] == []


def test_made_up_rows_do_not_stand_in_the_matrix_of_what_goes_together(tmp_path, fixed_logits):
    augmented = [("x y", (1, 1, 1))] * 5
    data = make_split(tmp_path / "s", train=ROWS, test=ROWS, valid=[], augmented=augmented)
    report = evaluate(write_logits(tmp_path / "c", data, test=np.zeros((4, 3))), data)
    assert report["exhibits"]["co_occurrence"]["values"][0] == [1.0, 1 / 2, 0.0]


# ---- the real thing ------------------------------------------------------------------------------


def test_metrics_of_a_trained_checkpoint_are_those_that_training_logged(
    small_checkpoint, small_data
):
    report = evaluate(small_checkpoint, small_data)
    logged = open_checkpoint(small_checkpoint).manifest.best.metrics
    found = report["parts"]["valid"]
    for name, group in (("macro_f1", "at_half"), ("exact_match", "at_half"), ("lrap", "ranking")):
        assert found[group][name]["model"] == pytest.approx(logged[f"val_{name}"], abs=1e-6)
    assert set(validation_metrics(np.zeros((1, 3)), np.ones((1, 3)))) <= {
        name.removeprefix("val_") for name in logged
    }
    assert evaluate(small_checkpoint, small_data) == report
