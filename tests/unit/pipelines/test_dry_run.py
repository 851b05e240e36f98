"""A dry run tells what a run would take, and leaves nothing behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.config import ClusterConfig, TrainingConfig
from seqtune.core.parameters import TaskParameters
from seqtune.pipeline_registry import register_pipelines
from seqtune.pipelines._forecast import announce
from seqtune.pipelines.dry_run.nodes import DryRunNodes
from seqtune.pipelines.dry_run.report import Memory, describe, planned_search
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import StepProfile, TrainingCosts
from seqtune.tuning.config import TuningConfig
from seqtune.tuning.parameters import TuningParameters
from seqtune.tuning.spaces.space import parse_space


def rehearsal(**changes: Any) -> StepProfile:
    values: dict[str, Any] = {
        "losses": (1.0,),
        "metrics": ("val_loss",),
        "step_seconds": 2.0,
        "validation_seconds_per_row": 0.1,
        "peak_memory_mib": 300.0,
        "model_mib": 10.0,
        "num_parameters": 100,
        "num_batches": 9,
        "validation_seconds": 12.0,
    }
    return StepProfile(**{**values, **changes})


def costs(**training: Any) -> TrainingCosts:
    config = TrainingConfig(**{"epochs": 10, **training})
    return TrainingCosts.of(rehearsal(), config)


def test_a_training_takes_its_steps_and_validations() -> None:
    found = costs(accumulate_grad_batches=2, validate_every_epochs=5)
    assert found.steps_per_epoch == 5
    assert found.epoch_seconds == pytest.approx(9 * 2.0 + 12.0 * 2 / 10)
    assert found.seconds == pytest.approx(204.0)
    assert found.lines[1] == "training: 50 steps in at most 10 epochs, at most about 3 min 24 s"


def test_too_little_memory_is_told_with_a_way_out() -> None:
    assert Memory(100.0, None, None).line == "memory: about 100 MiB by the estimate"
    line = Memory(100.0, 120.0, 90.0).line
    assert "120 MiB measured, of 90 MiB that are free here: too much. Lower training.b" in line


def test_texts_that_do_not_fit_are_counted_by_part() -> None:
    audits = {"train": {"texts": 200, "longer": 7, "limit": 64, "share": 0.035}}
    report = describe("toy", costs(), Memory(1.0, None, None), audits)
    assert report["headline"][-1] == "tokens of train: 7 of 200 texts are longer than 64 (3.5%)"


def test_the_search_is_planned_by_the_time_of_an_epoch(small_tuning: TuningParameters) -> None:
    stages = {"quick": {"trials": 6, "epochs": 3}, "medium": {"enabled": False}}
    tuning = small_tuning._replace(config=TuningConfig.model_validate({"stages": stages}))
    found = planned_search(tuning, costs(), workers=2)
    assert found["stages"]["quick"]["seconds"] == pytest.approx(6 * 3 * 30.0 / 2)
    assert "quick 6 x 3 epochs 4 min 30 s" in found["headline"][0]

    nothing = tuning._replace(spaces={"quick": parse_space({}, root="quick")})
    assert "cannot be planned" in planned_search(nothing, costs(), workers=2)["headline"][0]


def test_of_a_task_everything_is_told_and_nothing_is_left(
    small_parameters: TaskParameters,
    small_tuning: TuningParameters,
    split_folder: Path,
    tmp_path: Path,
) -> None:
    fits = {"texts": 12, "longer": 0, "limit": 6, "share": 0.0}
    task = replace(TASK, audit=lambda config, data: {"train": fits})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    report = DryRunNodes(task).dry_run(
        small_parameters,
        small_tuning,
        split_folder,
        {"headline": ["12 users"]},
        scratch,
        ClusterConfig(),
    )
    json.dumps(report)
    assert report["costs"]["batches_per_epoch"] == 3
    assert report["costs"]["validation_seconds"] > 0
    assert report["memory"]["estimate_mib"] > 0
    assert report["split"] == ["12 users"]
    assert report["values"]["model.hidden_units"]["value"] == 8
    assert [line.partition(":")[0] for line in report["headline"]] == [
        "recommend",
        "memory",
        "time",
        "training",
        "tokens of train",
        "tuning",
    ]
    assert list(scratch.iterdir()) == []


def test_the_pipeline_neither_trains_nor_searches() -> None:
    pipeline = register_pipelines()["summarize.dry_run"]
    assert [node.name for node in pipeline.nodes] == [
        "summarize.ingest.ingest",
        "summarize.split.split",
        "summarize.dry_run.dry_run",
    ]
    assert "summarize.dry_run_report" in pipeline.outputs()


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"epochs": 10}, "at most 10 epochs of about 30 s each, so at most about 5 min 00 s here"),
        (
            {"epochs": 500},
            "choose a smaller model (recommend.preset=small), or limit it (recommend.",
        ),
        ({"epochs": 500, "max_minutes": 7.0}, "so at most about 7 min 00 s here"),
    ],
)
def test_the_time_of_a_training_is_said_before_it_starts(
    training: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("seqtune.training.profile_steps", lambda *_, **__: rehearsal())
    caplog.set_level("INFO")
    announce(TASK, RecommendConfig(training=training), None, tmp_path)
    assert said in caplog.text
    assert ("over an hour" in caplog.text) == ("smaller" in said)
