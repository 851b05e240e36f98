"""Decisions of models, baselines and files on the same texts, and their bootstrap."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtune.core.config import CompareConfig
from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.row_metrics import RowMetrics
from seqtune.tasks.classify import ensemble
from seqtune.tasks.classify.compare import score_rows
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.evaluate import evaluate
from seqtune.tasks.classify.metrics import decided_metrics
from seqtune.tasks.classify.score_normalization import probabilities_of
from seqtune.tasks.classify.text_metrics import text_metrics

from .examples import LABELS, generated, make_split
from .fixed_logits import load_fixed, write_ensemble, write_logits


@pytest.fixture
def data(tmp_path: Path) -> ClassifyData:
    return make_split(tmp_path / "split", valid=generated(150, seed=1), test=generated(20, seed=2))


def noisy(data: ClassifyData, *, seed: int) -> np.ndarray:
    targets = data.targets("valid")
    noise = np.random.default_rng(seed).normal(size=targets.shape)
    return np.asarray(2.0 * targets + noise - 1.5)


@pytest.fixture
def checkpoints(
    tmp_path: Path, data: ClassifyData, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Path]:
    monkeypatch.setattr(ensemble, "load_classifier", load_fixed)
    first, second = (
        write_logits(
            tmp_path / f"c{seed}", data, fingerprint=f"{seed}" * 16, valid=noisy(data, seed=seed)
        )
        for seed in (1, 2)
    )
    thresholds = dict.fromkeys(LABELS, 0.4)
    both = {first: 0.5, second: 0.5}
    combined = write_ensemble(tmp_path / "both", both, decision={"thresholds": thresholds})
    return {"model": first, "second": second, "ensemble": combined}


def scored(
    models: dict[str, Path], data: ClassifyData, *answers: Path, **settings: Any
) -> tuple[RowMetrics, dict[str, Any]]:
    return score_rows(models, answers, data, CompareConfig(**settings), scratch=data.path)


def listed(path: Path, data: ClassifyData, values: np.ndarray) -> Path:
    ids = data.table("valid")["id"].to_pylist()
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", *LABELS])
        rows.writerows([own, *row] for own, row in zip(ids, values.tolist(), strict=True))
    return path


@pytest.mark.parametrize("metric", ["macro_f1", "micro_f1", "macro_precision", "macro_recall"])
def test_models_and_baselines_decide_as_evaluate_decides(
    checkpoints: dict[str, Path], data: ClassifyData, metric: str
) -> None:
    rows, facts = scored(checkpoints, data, metric=metric)
    assert list(rows.values) == ["model", "second", "ensemble", "tfidf_tuned", "prior"]
    for name, path in checkpoints.items():
        found = evaluate(path, data, parts=("valid",))["parts"]["valid"]["tuned"][metric]
        assert rows.overall[name] == pytest.approx(found["model"], rel=1e-12)
        assert rows.overall["tfidf_tuned"] == pytest.approx(found["tfidf_tuned"], rel=1e-12)
    assert facts["models"].keys() == checkpoints.keys()
    assert [segment.name for segment in rows.segments] == [
        "short texts",
        "medium texts",
        "long texts",
    ]


def test_evaluate_tests_the_model_against_the_baselines(
    checkpoints: dict[str, Path], data: ClassifyData
) -> None:
    report = evaluate(checkpoints["model"], data, parts=("valid",))
    table = report["exhibits"]["comparisons"]
    columns = table["columns"]
    tests = [dict(zip(columns, row, strict=True)) for row in table["rows"]]
    macro = report["parts"]["valid"]["tuned"]["macro_f1"]
    assert {test["against"] for test in tests} == {"tfidf_tuned", "prior"}
    for test in tests:
        assert test["difference"] == pytest.approx(macro["model"] - macro[test["against"]])
    assert any("valid macro_f1: model - " in line for line in report["headline"])
    assert len(report["exhibits"]["segments"]["rows"]) == 9


def test_the_bootstrap_is_that_of_a_loop_over_drawn_texts(data: ClassifyData) -> None:
    """Other draws, metrics from the drawn texts themselves: intervals agree up to chance."""
    random, targets = np.random.default_rng(0), data.targets("valid").astype(bool)
    decided = {
        name: targets ^ (random.random(targets.shape) < wrong)
        for name, wrong in (("a", 0.1), ("b", 0.2))
    }
    rows = text_metrics(data, "valid", decided)
    (test,) = rows.test_pairs([("a", "b")], seed=1, draws=4000)
    differences = []
    for _ in range(4000):
        drawn = random.integers(len(targets), size=len(targets))
        a, b = (
            decided_metrics(own[drawn].astype(float), targets[drawn], 0.5)["macro_f1"]
            for own in decided.values()
        )
        differences.append(a - b)
    low, high = np.quantile(differences, [0.025, 0.975])
    width = high - low
    assert width > 0.02
    assert test.low == pytest.approx(low, abs=0.08 * width)
    assert test.high == pytest.approx(high, abs=0.08 * width)
    assert test.difference == pytest.approx(rows.overall["a"] - rows.overall["b"])


def test_equal_decisions_do_not_differ(data: ClassifyData) -> None:
    own = data.targets("valid").astype(bool)
    rows = text_metrics(data, "valid", {"a": own, "b": own.copy()})
    (test,) = rows.test_pairs([("a", "b")], seed=1, draws=200)
    assert (test.difference, test.low, test.high, test.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_probabilities_of_a_file_are_decided_like_a_model_and_labels_are_taken(
    checkpoints: dict[str, Path], data: ClassifyData, tmp_path: Path
) -> None:
    same = listed(tmp_path / "same.csv", data, probabilities_of(noisy(data, seed=1)))
    oracle = listed(tmp_path / "oracle.csv", data, data.targets("valid"))
    rows, facts = scored({"model": checkpoints["model"]}, data, same, oracle)
    assert (rows.values["same"] == rows.values["model"]).all()
    assert rows.overall["oracle"] == 1.0
    assert facts["answers"] == [str(same), str(oracle)]


def test_bad_answers_get_one_error(
    checkpoints: dict[str, Path], data: ClassifyData, tmp_path: Path
) -> None:
    ids = data.table("valid")["id"].to_pylist()
    path = tmp_path / "theirs.csv"
    lines = [
        f"id,{','.join(LABELS)}",
        f"{ids[0]},0,1,2",
        f"{ids[1]},0,x,1",
        f"{ids[1]},0,1,1",
        "unknown,9,9,9",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as raised:
        scored(checkpoints, data, path)
    said = str(raised.value)
    assert "labels must be 0 or 1, or probabilities from 0 to 1" in said
    assert f"{path}, line 2: column '나쁨' holds '2'" in said
    assert f"{path}, line 3: column 'sport' holds 'x'" in said
    assert f"more than one answer for an id: {ids[1]!r} in {path}, line 4" in said
    assert f"{path}: ids without an answer: {ids[2]!r};" in said
    assert "and 143 more" in said
    assert "unknown" not in said


def test_names_of_baselines_and_unknown_metrics_are_refused(
    checkpoints: dict[str, Path], data: ClassifyData, tmp_path: Path
) -> None:
    path = listed(tmp_path / "tfidf.csv", data, data.targets("valid"))
    with pytest.raises(DataError, match="another system 'tfidf'; rename the file"):
        scored(checkpoints, data, path)
    with pytest.raises(ConfigurationError, match=r"compare\.metric=lrap: .* choose one of them"):
        scored(checkpoints, data, metric="lrap")


def test_a_split_without_valid_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    whole = make_split(tmp_path / "whole", train=generated(30), valid=[])
    with pytest.raises(DataError, match=r"no valid part .* classify\.split\.use_full_data=false"):
        scored(checkpoints, whole)
