"""The stages of `recommend` one by one through `kedro run`, as a person would give them."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = "recommend.preset=small,recommend.training.epochs=2,recommend.training.accelerator=cpu"
WITHOUT_TUNING = "ingest,split,train,predict"
USERS, ITEMS_EACH = 12, 7


@pytest.fixture
def raw(project: Path) -> Path:
    """The folder of a user's own files, with interactions in it."""
    folder = project / "data" / "01_raw" / "recommend"
    folder.mkdir(parents=True)
    rows = [
        f"{user},{(user + step) % 10 + 100},{1000 + step}"
        for user in range(1, USERS + 1)
        for step in range(ITEMS_EACH)
    ]
    (folder / "interactions.csv").write_text("\n".join(["user,item,time", *rows, ""]))
    return folder


def run(kedro: Kedro, pipeline: str, *, params: str = TINY, versions: str = "") -> str:
    load = ["--load-versions", versions] if versions else []
    result = kedro("run", "--pipelines", pipeline, "--params", params, *load)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def newest(project: Path, path: str) -> Path:
    """The newest version of a dataset below data/."""
    return sorted((project / "data" / path).iterdir())[-1] / Path(path).name


def read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.usefixtures("raw")
def test_each_stage_goes_on_from_the_one_before(kedro: Kedro, project: Path) -> None:
    for stage, leads_to in (("ingest", "split"), ("split", "train"), ("train", "predict")):
        assert f"kedro run --pipelines {leads_to}" in run(kedro, stage)
    run(kedro, "predict", params=f"{TINY},recommend.predict.top_k=2")

    frame = pd.read_parquet(newest(project, "07_model_output/recommend/predictions.parquet"))
    assert list(frame.columns) == ["user", "item", "rank", "score", "source"]
    assert frame["user"].dtype == "int64"
    assert (frame.groupby("user").size() == 2).all()
    assert frame["user"].nunique() == USERS
    seen = {(user, (user + step) % 10 + 100) for user in range(1, 13) for step in range(7)}
    assert not seen & set(zip(frame["user"], frame["item"], strict=True))
    assert not list((project / "data" / "00_scratch").glob("[!.]*"))


@pytest.mark.slow
@pytest.mark.usefixtures("raw")
def test_the_configuration_is_written_down_with_its_origins(kedro: Kedro, project: Path) -> None:
    local = project / "conf" / "local" / "parameters_recommend.yml"
    local.write_text("recommend: {training: {lr: 0.002}}\n")
    run(kedro, WITHOUT_TUNING, params=f"{TINY},recommend.model.num_heads=4")
    values = read_json(newest(project, "06_models/recommend/config.json"))["values"]
    assert values["model.num_heads"] == {"value": 4, "origin": "--params"}
    assert values["training.lr"] == {
        "value": 0.002,
        "origin": "conf/local/parameters_recommend.yml",
    }
    assert values["model.max_len"] == {"value": 30, "origin": "preset small"}
    assert values["model.dropout_rate"] == {"value": 0.2, "origin": "default"}
    assert values["training.precision"]["origin"].startswith("auto: ")


@pytest.mark.slow
def test_a_named_checkpoint_and_new_users(kedro: Kedro, project: Path, raw: Path) -> None:
    run(kedro, WITHOUT_TUNING)
    first = newest(project, "06_models/recommend/checkpoint").parent.name
    run(kedro, "train", params=f"{TINY},recommend.seed=7")
    (raw / "new_users.csv").write_text(
        "user,item,time\nanna,103,1\nanna,104,2\nbert,,3\nbert,999,4\n"
    )
    output = run(kedro, "predict", versions=f"recommend.checkpoint:{first}")

    report = read_json(newest(project, "08_reporting/recommend/predict_report.json"))
    assert first in report["checkpoint"]
    assert "2 users" in output
    with newest(project, "07_model_output/recommend/submission.csv").open() as file:
        users = {row["user"] for row in csv.DictReader(file)}
    assert users == {"anna", "bert"}
    frame = pd.read_parquet(newest(project, "07_model_output/recommend/predictions.parquet"))
    assert set(frame[frame["user"] == "anna"]["source"]) == {"model"}
    assert set(frame[frame["user"] == "bert"]["source"]) == {"popular"}


@pytest.mark.slow
@pytest.mark.usefixtures("raw")
def test_training_on_everything_takes_the_best_number_of_epochs(
    kedro: Kedro, project: Path
) -> None:
    full = f"{TINY},recommend.split.use_full_data=true".replace("recommend.training.epochs=2,", "")
    run(kedro, "ingest")
    run(kedro, "split", params=full)
    refused = kedro("run", "--pipelines", "train", "--params", full)
    assert refused.returncode == 1
    assert "train with validation first" in " ".join(refused.stderr.split())

    run(kedro, "split")
    too_late = kedro("run", "--pipelines", "train", "--params", full)
    assert too_late.returncode == 1
    assert "recommend.split.use_full_data=True has no effect any more" in too_late.stderr
    run(kedro, "train")
    checkpoints = "06_models/recommend/checkpoint"
    best = read_json(newest(project, checkpoints) / "checkpoint.json")["best"]["epoch"]
    run(kedro, "split", params=full)
    run(kedro, "train", params=full)
    final = read_json(newest(project, checkpoints) / "checkpoint.json")
    assert final["epochs_planned"] == final["last"]["epoch"] == best
    run(kedro, "predict", params=full)
