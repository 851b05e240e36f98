"""`kedro run --pipelines refresh`: new rows arrive, and the model goes on from where it was."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kedro_results import newest, read_newest, refuse, succeed
from seqtune.core.checkpoint import open_checkpoint

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = (
    "recommend.preset=small,recommend.training.epochs=4,recommend.training.accelerator=cpu,"
    "recommend.model.hidden_units=8,recommend.model.item_to_item=0.5"
)


def write_rows(project: Path, *, users: int, items: int) -> None:
    folder = project / "data" / "01_raw" / "recommend"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{user},{(user + step) % items + 100},{1000 + step}"
        for user in range(users)
        for step in range(6)
    ]
    (folder / "interactions.csv").write_text("\n".join(["user,item,time", *rows, ""]))


@pytest.fixture
def first(kedro: Kedro, project: Path) -> Path:
    """The checkpoint before new rows arrive."""
    write_rows(project, users=12, items=9)
    succeed(kedro, "--pipelines", "ingest,split,train", "--params", TINY)
    return newest(project, "checkpoint")


def refresh(kedro: Kedro, *more: str) -> str:
    return succeed(kedro, "--pipelines", "refresh", "--params", ",".join([TINY, *more]))


def test_new_rows_are_learned_and_predicted(kedro: Kedro, project: Path, first: Path) -> None:
    write_rows(project, users=15, items=11)

    said = refresh(kedro, "refresh.epochs=1")

    assert "users 12 -> 15, items 9 -> 11" in said
    report = read_newest(project, "refresh_report.json")
    assert report["published"] in ("refreshed", "kept")
    is_better = report["valid"]["after"] >= report["valid"]["before"]
    assert (report["published"] == "refreshed") is is_better
    second = newest(project, "checkpoint")
    assert open_checkpoint(second).manifest.config["training"]["start_from"] == str(first)
    succeed(kedro, "--pipelines", "predict", "--params", TINY)
    frame = pd.read_parquet(newest(project, "07_model_output/recommend/predictions.parquet"))
    assert frame["user"].nunique() == 15
    assert not list((project / "data" / "00_scratch").glob("[!.]*"))


def test_what_cannot_be_refreshed_is_refused(kedro: Kedro, project: Path) -> None:
    write_rows(project, users=12, items=9)
    said = refuse(kedro, "--pipelines", "refresh", "--params", TINY)
    assert "there is no checkpoint of recommend to start from; train one first" in said


@pytest.mark.slow
@pytest.mark.usefixtures("first")
def test_a_version_that_is_none_and_a_model_of_everything(kedro: Kedro) -> None:
    said = refuse(
        kedro, "--pipelines", "refresh", "--params", f"{TINY},refresh.rollback_to=2020-01-01"
    )
    assert "refresh.rollback_to='2020-01-01' is not a version of recommend.checkpoint" in said
    everything = f"{TINY},recommend.split.use_full_data=true"
    said = refuse(kedro, "--pipelines", "refresh", "--params", everything)
    assert "holds out nothing to compare the models on" in said


@pytest.mark.slow
def test_the_same_rows_and_a_way_back(kedro: Kedro, project: Path, first: Path) -> None:

    said = refresh(kedro)
    assert f"the data are those that {first.parent.name} was trained on" in said
    same = newest(project, "checkpoint")
    assert open_checkpoint(same).manifest == open_checkpoint(first).manifest

    write_rows(project, users=15, items=11)
    said = refresh(kedro, f"refresh.rollback_to={first.parent.name}")
    assert f"{first.parent.name} is published again, for the new data" in said
    assert open_checkpoint(newest(project, "checkpoint")).manifest.stopped == "carried over"
