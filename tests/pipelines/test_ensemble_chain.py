"""The ensemble through `kedro run`, after a search: who is in it, what is not done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kedro_results import Kedro, newest, read_newest, succeed

MODELS, REPORTS = "06_models/recommend", "08_reporting/recommend"


@pytest.fixture(scope="module")
def data(copied_data: Path) -> Path:
    return copied_data


def manifest(data: Path) -> dict[str, Any]:
    folder = newest(data.parent, f"{MODELS}/ensemble")
    return dict(json.loads((folder / "ensemble.json").read_text(encoding="utf-8")))


def test_the_members_are_the_best_trials_and_score_exactly_as_they_did(data: Path) -> None:
    table = pd.read_parquet(newest(data.parent, f"{MODELS}/medium_trials.parquet"))
    top = read_newest(data.parent, f"{MODELS}/top_configs.json")
    members = [member for member in manifest(data)["members"] if member["kind"] == "network"]

    trials = {f"trial {row.number} of {row.study}": row for row in table.itertuples()}
    keeps_default = top[0]["searched"] == ["training.epochs"]
    assert len(members) == len(top) == (table["state"] == "complete").sum() + keeps_default
    assert members[0]["name"] == "trained"
    for member, best in list(zip(members, top, strict=True))[keeps_default:]:
        trial = trials[member["origin"].removesuffix(": the trained checkpoint")]
        assert member["score"] == json.loads(trial.metrics)["val_ndcg@10"]
        assert member["fingerprint"] == best["fingerprint"]
        assert best["trial"] == trial.number


def test_the_metrics_stand_beside_the_single_checkpoint(data: Path) -> None:
    report, single = (
        read_newest(data.parent, f"{REPORTS}/{n}.json") for n in ("ensemble_metrics", "metrics")
    )
    compared = report["beside_single"]["parts"]["test"]
    assert compared["single"] == single["parts"]["test"]["full_ranking"]["ndcg@10"]["model"]
    assert f"single checkpoint {compared['single']:.4f}" in " ".join(report["headline"])
    assert (report["test_read_from_store"], report["test_openings"]) == (False, 1)


def test_predict_has_taken_the_ensemble(data: Path) -> None:
    report = read_newest(data.parent, f"{REPORTS}/predict_report.json")
    assert report["model"] == "ensemble"
    assert report["fingerprint"] == manifest(data)["fingerprint"]


def test_run_again_it_trains_nothing_and_leaves_test_closed(
    shared_kedro: Kedro, data: Path
) -> None:
    before, metrics = manifest(data), read_newest(data.parent, f"{REPORTS}/ensemble_metrics.json")
    output = succeed(shared_kedro, "--pipelines", "ensemble")
    again = read_newest(data.parent, f"{REPORTS}/ensemble_metrics.json")
    assert output.count("from before") == len(before["members"])
    assert manifest(data) == before
    assert (again["test_read_from_store"], again["test_openings"]) == (True, 1)
    assert again["parts"] == metrics["parts"]
    assert "kedro run --pipelines predict" in output


def test_predict_takes_the_checkpoint_where_that_is_asked_for(
    shared_kedro: Kedro, data: Path
) -> None:
    asked = "recommend.predict.model=checkpoint"
    output = succeed(shared_kedro, "--pipelines", "predict", "--params", asked)
    report = read_newest(data.parent, f"{REPORTS}/predict_report.json")
    assert report["model"] == "checkpoint"
    assert f"predicted with the checkpoint ({asked})" in output


@pytest.mark.slow
def test_seeds_are_trained_by_workers_and_a_second_ensemble_on_test_is_counted(
    shared_kedro: Kedro, data: Path
) -> None:
    wanted = "ensemble.members=seeds,ensemble.top=3,ensemble.weights=uniform,tuning.workers=2"
    output = succeed(shared_kedro, "--pipelines", "ensemble", "--params", wanted)
    for worker in (0, 1):
        assert f"worker {worker}: member {worker + 2} of 3: seed " in output
    report = read_newest(data.parent, f"{REPORTS}/ensemble_report.json")
    assert [member["weight"] for member in report["members"]] == pytest.approx([1 / 3] * 3)
    assert read_newest(data.parent, f"{REPORTS}/ensemble_metrics.json")["test_openings"] == 2
    assert "2 different ensembles were scored on this test set" in output
    assert not (data / "00_scratch" / "members").exists()


def test_without_a_checkpoint_the_pipeline_that_makes_one_is_named(
    shared_kedro: Kedro, data: Path
) -> None:
    checkpoints = data / MODELS / "checkpoint"
    checkpoints.rename(data / "aside")
    try:
        result = shared_kedro("run", "--pipelines", "ensemble")
    finally:
        (data / "aside").rename(checkpoints)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "run `kedro run --pipelines recommend.train` first" in " ".join(result.stderr.split())


@pytest.mark.slow
def test_killed_while_members_are_trained_it_goes_on_to_the_same_ensemble(
    shared_kedro: Kedro, shared_project: Path, data: Path
) -> None:
    long = (
        "recommend.best_config=ignore,recommend.training.epochs=60,recommend.training.batch_size=2,"
        "recommend.training.early_stopping.patience=0,recommend.model.hidden_units=8"
    )
    succeed(shared_kedro, "--pipelines", "train", "--params", long)
    wanted = "ensemble.members=seeds,ensemble.top=3,tuning.workers=2"
    process = start(shared_project, "--pipelines", "ensemble", "--params", wanted)
    scratch = data / "00_scratch" / "members"
    limit = time.monotonic() + 120
    while len({path.parent for path in scratch.glob("*/state-*.ckpt")}) < 2:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < limit
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    output = succeed(shared_kedro, "--pipelines", "ensemble", "--params", wanted)
    assert output.count("resuming at epoch") == 2
    resumed = manifest(data)
    assert not scratch.exists()
    for member in resumed["members"][1:]:
        shutil.rmtree(data / MODELS / "members" / member["fingerprint"])
    succeed(shared_kedro, "--pipelines", "ensemble", "--params", wanted)
    assert manifest(data) == resumed


def start(project: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """`kedro run` in a process group of its own."""
    import seqtune

    environment = {**os.environ, "PYTHONPATH": str(Path(seqtune.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
