"""Tuning through `kedro run`, as a person would use it: tiny data, real trials, real workers."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from kedro_results import Kedro, newest, read_newest, refuse, succeed

REPORTS = (
    "verify_report.json",
    "tune_test_report.json",
    "tune_quick_report.json",
    "quick_analysis.json",
    "quick_history_figure.json",
    "narrowing_report.json",
    "narrowing_figure.json",
    "medium_analysis.json",
    "rerank_report.json",
    "rerank_figure.json",
    "best_config_report.json",
    "tune_seed_report.json",
)


@pytest.fixture(scope="module")
def data(copied_data: Path) -> Path:
    return copied_data


@pytest.fixture(scope="module")
def tuned(shared_project: Path, data: Path) -> str:
    """What the search said, the first time."""
    return (shared_project / "said.txt").read_text()


def num_trials(data: Path) -> int:
    with sqlite3.connect(data / "06_models/recommend/studies.db") as database:
        return int(database.execute("select count(*) from trials").fetchone()[0])


@pytest.mark.usefixtures("tuned")
def test_everything_that_was_promised_lies_in_the_catalog(data: Path) -> None:
    for name in REPORTS:
        assert newest(data.parent, f"08_reporting/recommend/{name}").is_file(), name
    quick = pd.read_parquet(newest(data.parent, "quick_trials.parquet"))
    assert quick["state"].isin(["complete", "pruned"]).sum() == 4
    with sqlite3.connect(newest(data.parent, "06_models/recommend/medium_study.db")) as snapshot:
        names = [name for (name,) in snapshot.execute("select study_name from studies")]
    assert len(names) == 1
    assert names[0].startswith("recommend-medium-")


def test_a_person_is_told_what_each_stage_gave(tuned: str) -> None:
    assert "4 complete; best val_ndcg@10" in tuned
    for part in ("verify_env", "quick", "narrow", "rerank", "best_config"):
        assert f"\n{part} " in tuned


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_run_again_it_does_nothing_new_and_says_so(shared_kedro: Kedro, data: Path) -> None:
    before = num_trials(data), read_newest(data.parent, "best_config.yml")
    output = succeed(shared_kedro, "--pipelines", "tune")
    assert (
        num_trials(data),
        read_newest(data.parent, "best_config.yml"),
    ) == before
    assert output.count("nothing to do") == 4


@pytest.mark.usefixtures("tuned")
def test_training_reproduces_the_best_trial_exactly(shared_kedro: Kedro, data: Path) -> None:
    succeed(shared_kedro, "--pipelines", "train")
    best = read_newest(data.parent, "best_config.yml")
    checkpoint = newest(data.parent, "06_models/recommend/checkpoint")
    manifest = json.loads((checkpoint / "checkpoint.json").read_text(encoding="utf-8"))
    trained = manifest["best"]["metrics"]
    assert trained["val_ndcg@10"] == best["metrics"]["val_ndcg@10"]
    assert trained["train_loss"] == best["metrics"]["train_loss"]
    assert manifest["fingerprint"] == best["fingerprint"]
    assert manifest["epochs_planned"] == best["values"]["training"]["epochs"]


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_training_refuses_what_was_not_tuned_and_names_it(shared_kedro: Kedro) -> None:
    patience = "recommend.training.early_stopping.patience=4"
    message = refuse(shared_kedro, "--pipelines", "train", "--params", patience)
    for part in ("training.early_stopping.patience", "has 10", "has 4", "--params", "tune again"):
        assert part in message


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_training_without_what_was_tuned(shared_kedro: Kedro) -> None:
    ignored = "recommend.best_config=ignore,recommend.training.epochs=1"
    succeed(shared_kedro, "--pipelines", "train", "--params", ignored)


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_training_goes_on_all_the_same_where_that_was_asked_for(shared_kedro: Kedro) -> None:
    wanted = "recommend.training.early_stopping.patience=4,verify_env.on_mismatch=warn"
    output = succeed(shared_kedro, "--pipelines", "train", "--params", wanted)
    assert "training.early_stopping.patience" in output


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_an_edited_space_is_searched_and_the_old_study_stays(
    shared_kedro: Kedro, data: Path
) -> None:
    before = num_trials(data)
    path = newest(data.parent, "06_models/recommend/narrowed_space.yml")
    original = path.read_text(encoding="utf-8")
    edited = yaml.safe_load(original)
    edited["space"]["model"]["dropout_rate"] = {"type": "float", "low": 0.16, "high": 0.17}
    edited["queue"] = []
    path.write_text(yaml.safe_dump(edited), encoding="utf-8")
    try:
        output = succeed(shared_kedro, "--tags", "medium", "--pipelines", "tune")
    finally:
        path.write_text(original, encoding="utf-8")
    assert "stays as it is" in " ".join(output.split())
    medium = pd.read_parquet(newest(data.parent, "06_models/recommend/medium_trials.parquet"))
    rates = [json.loads(params)["model.dropout_rate"] for params in medium["params"]]
    assert rates
    assert all(0.16 <= rate <= 0.17 for rate in rates)
    assert num_trials(data) > before


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_one_stage_alone(shared_kedro: Kedro, data: Path) -> None:
    before = num_trials(data)
    off = ("--params", "tuning.stages.medium.enabled=false")
    output = succeed(shared_kedro, "--pipelines", "tune", "--tags", "quick", *off)
    assert "nothing to do, all trials exist already" in output
    assert "tune_medium" not in output
    assert num_trials(data) == before


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_a_value_of_the_command_line_is_not_searched(shared_kedro: Kedro, data: Path) -> None:
    params = "recommend.model.hidden_units=8,tuning.stages.quick.trials=1"
    until = ("--to-nodes", "recommend.tune.quick.tune_quick")
    succeed(shared_kedro, "--pipelines", "tune", *until, "--params", params)
    quick = pd.read_parquet(newest(data.parent, "quick_trials.parquet"))
    assert "model.hidden_units" not in json.loads(quick["params"][0])


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (
            "tuning.budgett=6h,tuning.sampler.kind=tpee",
            (
                "tuning.budgett is not a parameter",
                "did you mean 'budget'",
                "tuning.sampler.kind",
                "'tpe'",
            ),
        ),
        ("tuning.budget=6hh", ("tuning.budget", "6h")),
        pytest.param(
            "recommend.training.epochs=3",
            ("recommend.training.epochs", "tuning.stages.<stage>.epochs"),
            marks=pytest.mark.slow,  # said only when verify_env has run
        ),
    ],
)
@pytest.mark.usefixtures("tuned")
def test_a_wrong_parameter_is_refused(
    shared_kedro: Kedro, params: str, says: tuple[str, ...]
) -> None:
    message = refuse(shared_kedro, "--pipelines", "tune", "--params", params)
    for part in says:
        assert part in message


def in_the_space(quick: dict[str, Any]) -> dict[str, Any]:
    """Parameters that change the space of the tiny search."""
    return {"recommend": {"tuning": {"other_spaces": {"bert4rec_guide": {"quick": quick}}}}}


@pytest.mark.usefixtures("tuned")
def test_all_faults_of_a_space_are_told_before_anything_runs(
    shared_kedro: Kedro, shared_project: Path
) -> None:
    wrong = {
        "model": {
            "dropout_rate": {"low": 0.5, "high": 0.3},
            "hiden_units": {"type": "int", "low": 1, "high": 2},
        },
        "training": {"lr": {"low": 0.0}, "epochs": {"type": "int", "low": 1, "high": 5}},
        "seed": {"type": "int", "low": 0, "high": 9},
    }
    local = shared_project / "conf" / "local" / "parameters_wrong.yml"
    local.write_text(yaml.safe_dump(in_the_space(wrong)))
    try:
        message = refuse(shared_kedro, "--pipelines", "tune")
    finally:
        local.unlink()
    root = "recommend.tuning.other_spaces.bert4rec_guide.quick"
    for key in ("model.dropout_rate", "model.hiden_units", "training.lr"):
        assert f"{root}.{key}" in message


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_a_searched_key_that_is_never_read_is_refused(
    shared_kedro: Kedro, shared_project: Path
) -> None:
    unread = {"training": {"step_gamma": {"type": "float", "low": 0.1, "high": 0.9}}}
    local = shared_project / "conf" / "local" / "parameters_unread.yml"
    local.write_text(yaml.safe_dump(in_the_space(unread)))
    try:
        message = refuse(shared_kedro, "--pipelines", "tune")
    finally:
        local.unlink()
    assert "bert4rec_guide.quick.training.step_gamma is searched" in message
    assert "never reads it" in message


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_the_final_configuration_is_trained_again_and_judged(
    shared_kedro: Kedro, data: Path
) -> None:
    output = succeed(shared_kedro, "--pipelines", "validate", "--params", "validate.runs=2")
    report = read_newest(data.parent, "08_reporting/recommend/validate_report.json")
    best = read_newest(data.parent, "best_config.yml")
    assert "stable" in output
    assert str(best["metrics"]["val_ndcg@10"])[:5] in json.dumps(report)
