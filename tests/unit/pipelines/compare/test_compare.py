"""Which models are compared, what test allows, and the report of a comparison."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ensemble_folders
from seqtune.core.config import CompareConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.metrics import EXHIBITS, exhibit, values_of
from seqtune.core.parameters import TaskParameters
from seqtune.core.row_metrics import RowMetrics, Segment
from seqtune.core.task import Report, TaskSpec, TrainingData
from seqtune.pipelines.compare.nodes import CompareNodes
from seqtune.pipelines.compare.systems import FLATTERED, choose_models
from seqtune.tasks.recommend import TASK

sys.path.insert(0, str(Path(__file__).parents[1] / "ensemble"))

from toy_members import write_checkpoint

VERSIONS = ("2026-01-01", "2026-01-02")


class Toy:
    """A task whose models score what their names say; counts evaluations."""

    def __init__(self) -> None:
        self.evaluated: list[Path] = []
        self.asked: list[str] = []

    def score_rows(
        self, models: dict[str, Path], answers: Any, data: Any, settings: Any, *, scratch: Path
    ) -> tuple[RowMetrics, Report]:
        assert scratch.is_dir()
        self.asked = list(models)
        base = np.tile([0.0, 0.5], 10)
        values = {name: base + place / 4 for place, name in enumerate(models)}
        segments = (Segment("short histories", "1 to 2 items", base == 0),)
        return RowMetrics(settings.part, "ndcg@10", "users", values, segments), {
            "headline": ["of the task"]
        }

    def evaluate(self, path: Path, _data: Any, *, parts: Collection[str] | None = None) -> Report:
        self.evaluated.append(path)
        return {"parts": {"valid": {}, "test": {}}}

    def task(self, **how: Any) -> TaskSpec:
        return replace(TASK, score_rows=self.score_rows, evaluate=self.evaluate, **how)


@pytest.fixture
def data(split_folder: Path) -> TrainingData:
    opened: TrainingData = TASK.open_data(split_folder)
    return opened


@pytest.fixture
def checkpoints(tmp_path: Path, small_parameters: TaskParameters, data: TrainingData) -> list[Path]:
    """Two versions of the dataset `checkpoint`."""
    config = small_parameters.resolve("none").config
    return [
        write_checkpoint(tmp_path / "checkpoint" / version / "checkpoint", config, data)
        for version in VERSIONS
    ]


@pytest.fixture
def ensemble(tmp_path: Path, checkpoints: list[Path]) -> Path:
    folder = tmp_path / "ensemble" / VERSIONS[1] / "ensemble"
    return ensemble_folders.write_ensemble(
        folder, {checkpoints[0]: 1.0}, task="recommend", metric="valid ndcg@10", scale="ranks"
    )


def compared(
    task: TaskSpec,
    split_folder: Path,
    checkpoint: Path,
    ensemble: Path | None = None,
    **settings: Any,
) -> Report:
    folder = split_folder.parent
    (folder / "scratch").mkdir(exist_ok=True)
    (folder / "results").mkdir(exist_ok=True)
    return CompareNodes(task).compare(
        CompareConfig(draws=200, **settings),
        folder / "scratch",
        split_folder,
        checkpoint,
        ensemble,
        (),
        folder / "results",
    )


def test_the_best_is_set_against_each_other_system(
    split_folder: Path, checkpoints: list[Path], ensemble: Path
) -> None:
    toy = Toy()
    report = compared(
        toy.task(), split_folder, checkpoints[1], ensemble, models=(VERSIONS[0], str(ensemble))
    )
    assert toy.asked == ["model", "ensemble", VERSIONS[0]]
    assert report["headline"][0].startswith(f"valid ndcg@10: {VERSIONS[0]} - ensemble = +0.2500")
    assert report["headline"][0].endswith(": better")
    assert report["headline"][2:] == ["of the task", FLATTERED]
    means = values_of(report, "valid", "ndcg@10")
    assert means == {VERSIONS[0]: 0.75, "ensemble": 0.5, "model": 0.25}
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    table = exhibit(report[EXHIBITS]["comparisons"])
    assert len(table.rows) == 3
    assert {*TASK.figures, *TASK.tables} == report[EXHIBITS].keys()
    assert not list((split_folder.parent / "scratch").iterdir())


def test_an_ensemble_of_another_split_is_left_out(
    split_folder: Path, full_split: Path, checkpoints: list[Path], ensemble: Path
) -> None:
    other = TASK.open_data(full_split)
    models, notes = choose_models(CompareConfig(), other, checkpoints[1], ensemble)
    assert list(models) == ["model"]
    assert "ensemble: left out, the newest one was made on another split" in notes


def test_a_name_that_is_nothing_is_refused_with_what_there_is(
    split_folder: Path, data: TrainingData, checkpoints: list[Path]
) -> None:
    settings = CompareConfig(models=("2026-01-09", "nowhere"))
    with pytest.raises(ConfigurationError) as raised:
        choose_models(settings, data, checkpoints[1], None)
    assert len(raised.value.faults) == 2
    assert "compare.models: '2026-01-09' is neither the folder" in raised.value.faults[0]
    assert "2026-01-01, 2026-01-02" in raised.value.faults[0]


def test_an_ensemble_is_entered_in_the_ledger_of_test(
    split_folder: Path, checkpoints: list[Path], ensemble: Path
) -> None:
    toy = Toy()
    for _ in range(2):
        report = compared(toy.task(), split_folder, checkpoints[1], ensemble, part="test")
    assert toy.evaluated == [ensemble]
    assert any("choose on valid, and read them once" in line for line in report["headline"])
    assert any("test was scored before" in line for line in report["headline"])
    assert FLATTERED not in report["headline"]


def test_test_stays_closed_where_a_task_keeps_it_for_one_model(
    split_folder: Path, checkpoints: list[Path]
) -> None:
    toy = Toy()
    with pytest.raises(ConfigurationError, match=r"compare\.part=test: recommend scores test for"):
        compared(toy.task(test_once=True), split_folder, checkpoints[1], part="test")
    assert not toy.asked
    compared(toy.task(test_once=True), split_folder, checkpoints[1])
    assert toy.asked == ["model"]
