"""`classify` and `summarize` from raw rows to predictions through `kedro run`, a project each."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.io
import pytest
import yaml

from kedro_results import Kedro, newest, succeed

sys.path.insert(0, str(Path(__file__).parents[1]))

from seqtune.core.task import OURS, TaskSpec
from seqtune.pipeline_registry import TASKS
from text_projects import (
    NEW_ROWS,
    ROWS,
    add_models,
    finished,
    prepare,
    read_json,
    write_new_rows,
)

TEXT_TASKS = [task for task in TASKS if task.name in ROWS]
EACH = pytest.mark.parametrize("task", TEXT_TASKS, ids=lambda task: task.name)


# ---- a light one, every time ---------------------------------------------------------------------


def test_texts_are_classified_without_tuning(project: Path, kedro: Kedro) -> None:
    prepare(project, "classify")
    add_models(project, "classify")
    stages = ",".join(f"classify.{stage}" for stage in ("ingest", "split", "train", "predict"))
    succeed(kedro, "--pipelines", stages)

    metrics = read_json(newest(project, "08_reporting/classify/metrics.json"))
    assert list(metrics["parts"]) == ["valid"]  # test is for one final model alone
    valid = metrics["parts"]["valid"]
    assert {OURS, "tfidf", "prior"} <= valid["at_half"]["macro_f1"].keys()
    trained = manifest(project, "classify")["best"]["metrics"]["val_macro_f1"]
    assert valid["at_half"]["macro_f1"][OURS] == pytest.approx(trained, abs=1e-6)
    submission = pd.read_csv(newest(project, "07_model_output/classify/submission.csv"))
    rows = read_json(newest(project, "08_reporting/classify/split_report.json"))["rows"]
    assert len(submission) == rows["valid"] + rows["test"] == 80
    assert set(submission[list(metrics["labels"])].to_numpy().ravel()) <= {0, 1}

    answers = project / "data/01_raw/classify/answers"
    answers.mkdir()
    submission.to_csv(answers / "yesterday.csv", index=False)
    assert "yesterday" in succeed(kedro, "--pipelines", "classify.compare")
    reports = "08_reporting/classify"
    compared = read_json(newest(project, f"{reports}/compare_report.json"))
    found = compared["parts"]["valid"]["compared"]["macro_f1"]
    assert found.keys() == {OURS, "tfidf_tuned", "prior", "yesterday"}
    assert found[OURS] == pytest.approx(valid["tuned"]["macro_f1"][OURS])
    assert len(pd.read_csv(newest(project, f"{reports}/compare_comparisons_table.csv"))) == 6
    assert list((project / "data/00_scratch").glob("[!.]*")) == []


def manifest(project: Path, task: str) -> dict[str, Any]:
    folder = newest(project, f"06_models/{task}/checkpoint")
    return dict(read_json(folder / "checkpoint.json"))


# ---- the whole chain -----------------------------------------------------------------------------

Finished = Callable[[TaskSpec], Path]


@pytest.fixture(scope="module")
def chain(
    tmp_path_factory: pytest.TempPathFactory,
    shared_project: Path,
    kedro_with: Callable[..., Kedro],
) -> Finished:
    """`chain(task)`: a project in which everything of it has run."""
    base = tmp_path_factory.getbasetemp()
    return lambda task: finished(task.name, base, shared_project, kedro_with)


@pytest.fixture
def copied(chain: Finished, tmp_path: Path) -> Finished:
    """The same, for writing."""

    def copy(task: TaskSpec) -> Path:
        return Path(shutil.copytree(chain(task), tmp_path / "copied"))

    return copy


def best_config(project: Path, task: str) -> dict[str, Any]:
    text = newest(project, f"06_models/{task}/best_config.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def report(project: Path, task: TaskSpec, name: str) -> Any:
    return read_json(newest(project, f"08_reporting/{task.name}/{name}.json"))


@pytest.mark.slow
@EACH
def test_training_reproduces_the_best_trial_exactly(chain: Finished, task: TaskSpec) -> None:
    project = chain(task)
    best, trained = best_config(project, task.name), manifest(project, task.name)
    assert trained["fingerprint"] == best["fingerprint"]
    own = trained["best"]["metrics"]
    assert trained["best"]["epoch"] == best["best_epoch"]
    assert own == {name: best["metrics"][name] for name in own}
    assert {"train_loss", "val_loss"} <= own.keys()


@pytest.mark.slow
@EACH
def test_the_trained_checkpoint_is_worth_what_the_search_said(
    chain: Finished, task: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = chain(task)
    monkeypatch.chdir(project)
    best = best_config(project, task.name)
    if task.measure is None:
        valid = report(project, task, "metrics")["parts"]["valid"]
        assert valid["at_half"]["macro_f1"][OURS] == pytest.approx(best["score"], abs=1e-6)
        return
    parameters = task.parse_parameters(values={}, runtime={}, origins={})
    config = parameters.config_class.model_validate(manifest(project, task.name)["config"])
    data = task.open_data(newest(project, f"05_model_input/{task.name}/split"))
    checkpoint = newest(project, f"06_models/{task.name}/checkpoint")
    measured = dict(task.measure(checkpoint, data, config))
    assert measured["decoded_rouge_sum"] == best["score"] > 0
    assert measured["decoded_rouge1"] == best["metrics"]["decoded_rouge1"]


@pytest.mark.slow
@EACH
def test_test_is_opened_once_for_the_final_ensemble(chain: Finished, task: TaskSpec) -> None:
    project = chain(task)
    assert list(report(project, task, "metrics")["parts"]) == ["valid"]
    final = report(project, task, "ensemble_metrics")
    assert list(final["parts"]) == ["valid", "test"]
    assert (final["test_openings"], final["test_read_from_store"]) == (1, False)
    assert final["test_closed_by"] is None


@pytest.mark.slow
@EACH
def test_another_ensemble_does_not_see_test_unless_that_is_asked_for(
    copied: Finished, task: TaskSpec, kedro_with: Callable[..., Kedro]
) -> None:
    project = copied(task)
    kedro = kedro_with(project)
    first = report(project, task, "ensemble_metrics")
    pipeline = ("--pipelines", f"{task.name}.ensemble")

    other = "ensemble.members=seeds,ensemble.top=2,ensemble.weights=uniform"
    said = succeed(kedro, *pipeline, "--params", other)
    closed = report(project, task, "ensemble_metrics")
    assert "test stays closed" in said
    assert "ensemble.reopen_test=true" in said
    assert list(closed["parts"]) == ["valid"]
    assert closed["test_closed_by"]["ensemble"] == first["fingerprint"] != closed["fingerprint"]

    said = succeed(kedro, *pipeline, "--params", f"{other},ensemble.reopen_test=true")
    assert report(project, task, "ensemble_metrics")["test_openings"] == 2
    assert "2 different ensembles were scored on this test set" in said

    succeed(kedro, *pipeline)
    again = report(project, task, "ensemble_metrics")
    assert (again["test_read_from_store"], again["parts"]) == (True, first["parts"])


@pytest.mark.slow
def test_an_ensemble_of_classifiers_takes_its_thresholds_to_test(chain: Finished) -> None:
    task = next(task for task in TEXT_TASKS if task.name == "classify")
    project = chain(task)
    folder = newest(project, "06_models/classify/ensemble")
    decided = read_json(folder / "ensemble.json")["decision"]["thresholds"]
    metrics = report(project, task, "ensemble_metrics")
    assert list(decided) == metrics["labels"]
    assert decided == metrics["thresholds"]
    assert decided == report(project, task, "predict_report")["thresholds"]
    assert any(value != 0.5 for value in decided.values())


@pytest.mark.slow
@EACH
def test_every_row_of_test_is_predicted(chain: Finished, task: TaskSpec) -> None:
    project = chain(task)
    frame = pd.read_parquet(newest(project, f"07_model_output/{task.name}/predictions.parquet"))
    submission = pd.read_csv(newest(project, f"07_model_output/{task.name}/submission.csv"))
    data = task.open_data(newest(project, f"05_model_input/{task.name}/split"))
    known = set(map(str, data.table("test")["id"].to_pylist()))
    assert set(frame.loc[frame["part"] == "test", "id"]) == known
    assert frame["id"].is_unique
    assert list(submission.iloc[:, 0].astype(str)) == list(frame["id"])
    assert (
        report(project, task, "predict_report")["fingerprint"]
        == (report(project, task, "ensemble_metrics")["fingerprint"])
    )


@pytest.mark.slow
@EACH
def test_the_checkpoint_the_ensemble_and_the_baselines_are_compared(
    copied: Finished, task: TaskSpec, kedro_with: Callable[..., Kedro]
) -> None:
    project, reports = copied(task), f"08_reporting/{task.name}"
    succeed(kedro_with(project), "--pipelines", f"{task.name}.compare")
    compared = report(project, task, "compare_report")["parts"]["valid"]["compared"]
    assert {OURS, "ensemble"} < next(iter(compared.values())).keys()
    assert len(pd.read_csv(newest(project, f"{reports}/compare_segments_table.csv"))) > 0
    page = newest(project, f"{reports}/run_report.html").read_text(encoding="utf-8")
    assert '<section id="compare"' in page


@pytest.mark.slow
@EACH
def test_new_rows_are_answered_in_their_order(
    copied: Finished, task: TaskSpec, kedro_with: Callable[..., Kedro]
) -> None:
    project = copied(task)
    write_new_rows(task.name, project)
    succeed(kedro_with(project), "--pipelines", f"{task.name}.predict")
    submission = pd.read_csv(newest(project, f"07_model_output/{task.name}/submission.csv"))
    ids = submission.iloc[:, 0].astype(str).tolist()
    prefix = "" if task.name == "classify" else "new"
    assert ids == [f"{prefix}{number}" for number in range(NEW_ROWS)]
    assert len(submission.columns) > 1


@pytest.mark.slow
@EACH
def test_figures_and_tables_are_there_and_the_report_shows_them(
    chain: Finished, task: TaskSpec
) -> None:
    project = chain(task)
    folder = f"08_reporting/{task.name}"
    page = shown(newest(project, f"{folder}/run_report.html").read_text(encoding="utf-8"))
    for prefix in ("", "ensemble_"):
        exhibits = report(project, task, f"{prefix}metrics")["exhibits"]
        for name in task.figures:
            text = newest(project, f"{folder}/{prefix}{name}_figure.json").read_text("utf-8")
            assert len(plotly.io.from_json(text).data) > 0
        for name in task.tables:
            table = pd.read_csv(newest(project, f"{folder}/{prefix}{name}_table.csv"))
            assert list(table.columns) == exhibits[name]["columns"]
            assert len(table) == len(exhibits[name]["rows"]) > 0
    for name in (*task.figures, *task.tables):
        assert " ".join(exhibits[name]["title"].split()) in page


def shown(page: str) -> str:
    """The text of a page."""
    page = re.sub(r"<(script|style|template)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", ""))))


@pytest.mark.slow
@EACH
def test_a_dry_run_tells_what_a_run_would_take_and_trains_nothing(
    task: TaskSpec, project: Path, kedro: Kedro
) -> None:
    prepare(project, task.name)
    add_models(project, task.name)
    asked = ("--params", f"{task.name}.dry_run=true")
    said = succeed(kedro, "--pipelines", task.name, *asked)
    assert f"{task.name}: dry run, nothing was trained" in said
    found = report(project, task, "dry_run_report")
    assert found["memory"]["estimate_mib"] > 0
    assert found["costs"]["seconds"] > 0
    assert set(found["audits"]) == {"train", "valid"}
    json.dumps(found["tuning"]["stages"])
    assert not (project / "data/06_models").exists()
    assert not (project / "data/07_model_output").exists()
