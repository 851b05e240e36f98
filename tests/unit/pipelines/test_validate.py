"""validate: N trainings, their spread, and going on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqtune.core.config import ValidateConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Resolved
from seqtune.pipelines.validate import create_pipeline
from seqtune.pipelines.validate.nodes import ValidateNodes
from seqtune.pipelines.validate.runs import FinishedRun, PlannedRun, plan_runs
from seqtune.pipelines.validate.stability import spread, summarise
from seqtune.tasks.recommend import TASK

TWICE = ValidateConfig(runs=2)


def done(kind: Any, number: int, score: float) -> FinishedRun:
    return FinishedRun(
        PlannedRun(kind, number, 42), score, 3, "finished", 1.5, {"val_ndcg@10": score}
    )


def test_the_spread_is_that_of_a_sample() -> None:
    assert spread([0.1, 0.2, 0.3]) == {
        "num_runs": 3,
        "mean": pytest.approx(0.2),
        "std": pytest.approx(0.1),
        "min": 0.1,
        "max": 0.3,
    }


@pytest.mark.parametrize(("last", "stable"), [(0.102, True), (0.12, False)])
def test_the_verdict_goes_by_the_standard_deviation(last: float, stable: bool) -> None:
    runs = [done("same", n, score) for n, score in enumerate([0.1, 0.101, last], start=1)]
    report = summarise(runs, ValidateConfig(), metric="val_ndcg@10", task="recommend")
    assert report["stable"] is stable
    (line,) = report["headline"]
    assert line.startswith("recommend: val_ndcg@10 over 3 trainings with the same seed: 0.1")
    assert line.endswith(": stable" if stable else ": NOT stable")
    assert [row["score"] for row in report["runs"]] == [0.1, 0.101, last]
    assert report["runs"][0]["seed"] == 42


def test_both_kinds_of_seeds_must_be_stable() -> None:
    runs = [done("same", 1, 0.1), done("same", 2, 0.1)]
    runs += [done("different", 1, 0.1), done("different", 2, 0.2)]
    report = summarise(runs, ValidateConfig(seeds="both"), metric="m", task="t")
    assert (report["groups"]["same"]["std"], report["stable"]) == (0.0, False)
    assert len(report["headline"]) == 2


def test_different_seeds_are_derived_and_differ(small_parameters: TaskParameters) -> None:
    config = small_parameters.resolve().config
    runs = plan_runs(config, ValidateConfig(runs=3, seeds="both"))
    assert [run.name for run in runs] == [
        *(f"same-seed-0{n}" for n in (1, 2, 3)),
        *(f"different-seed-0{n}" for n in (1, 2, 3)),
    ]
    assert {run.seed for run in runs[:3]} == {42}
    assert len({run.seed for run in runs}) == 4
    assert runs == plan_runs(config, ValidateConfig(runs=3, seeds="both"))


@pytest.fixture
def resolved(small_parameters: TaskParameters) -> Resolved[Any]:
    return small_parameters.resolve()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_the_same_seed_gives_the_same_and_another_does_not(
    resolved: Resolved[Any], split_folder: Path, scratch: Path
) -> None:
    both = ValidateConfig(runs=2, seeds="both", max_std=0.5)
    report = ValidateNodes(TASK).validate(resolved, split_folder, scratch, both)
    scores = [row["score"] for row in report["runs"]]
    assert len(scores) == 4
    assert scores[0] == scores[1]
    metrics = [row["metrics"] for row in report["runs"]]
    assert metrics[2]["train_loss"] != metrics[0]["train_loss"]
    assert report["groups"]["same"]["std"] == 0.0
    assert report["stable"]
    assert list(scratch.iterdir()) == []


def test_what_was_finished_before_a_kill_is_not_trained_again(
    resolved: Resolved[Any],
    split_folder: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import seqtune.training

    whole = ValidateNodes(TASK).validate(resolved, split_folder, scratch, TWICE)
    real, trained = seqtune.training.fit, []

    def dies(*args: Any, **options: Any) -> Any:
        trained.append(options["directory"].name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(seqtune.training, "fit", dies)
    with pytest.raises(KeyboardInterrupt):
        ValidateNodes(TASK).validate(resolved, split_folder, scratch, TWICE)
    again = ValidateNodes(TASK).validate(resolved, split_folder, scratch, TWICE)
    assert trained == ["same-seed-01", "same-seed-02", "same-seed-02"]
    assert again["groups"] == whole["groups"]
    assert list(scratch.iterdir()) == []


def test_without_validation_there_is_nothing_to_measure(
    resolved: Resolved[Any], full_split: Path, scratch: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing is held out .*split and validate"):
        ValidateNodes(TASK).validate(resolved, full_split, scratch, TWICE)


def test_the_stage_is_wired() -> None:
    pipeline = create_pipeline(TASK)
    assert pipeline.inputs() == {
        "recommend.resolved_config",
        "recommend.split",
        "scratch",
        "params:validate",
    }
    assert pipeline.outputs() == {"recommend.validate_report"}
