"""Trials that differ in what training never reads share one training."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.config import fingerprint
from seqtune.core.errors import ConfigurationError, Interrupted
from seqtune.pipelines._resolution import training_fingerprint
from seqtune.pipelines.tune.objective import TrainTrial
from seqtune.pipelines.tune.shared_training import (
    KEPT,
    METRICS,
    remove_shared_trainings,
    stage_folder,
    train_or_reuse,
)
from seqtune.pipelines.tune.unused_params import (
    refuse_params_without_effect,
    refuse_unmeasured_params,
)
from seqtune.training import FitResult, fit
from seqtune.tuning.config import Goal
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.spaces.space import parse_space

sys.path.insert(0, str(Path(__file__).parent))

from toy_decoder import (
    DecoderConfig,
    decoder_task,
    measure,
    num_epochs_trained,
    parameters,
    weights_of,
)


@pytest.fixture
def trial(tmp_path: Path) -> TrainTrial:
    split = tmp_path / "split"
    split.mkdir()
    return TrainTrial(
        task=decoder_task(split),
        parameters=parameters(),
        split=split,
        scratch=tmp_path / "scratch",
        stage="medium",
        epochs=2,
        dry_run=False,
    )


def go_on(_epoch: int, _metrics: Mapping[str, float]) -> bool:
    return False


def folders(trial: TrainTrial) -> list[Path]:
    return [path.parent for path in stage_folder(trial.scratch, "medium").glob(f"*/{METRICS}")]


def test_what_training_never_reads_is_measured_on_weights_trained_once(trial: TrainTrial) -> None:
    told: list[tuple[int, float]] = []
    first = trial({"decoding.beams": 1}, go_on, name="a")
    second = trial(
        {"decoding.beams": 3},
        lambda epoch, metrics: bool(told.append((epoch, metrics["val_loss"]))),
        name="b",
    )
    assert num_epochs_trained(trial.split) == 2
    assert second["decoded_score"] == 3 * first["decoded_score"]
    for name in ("val_loss", "fit_seconds", "best_epoch", "estimated_memory_mib"):
        assert second[name] == first[name]
    assert [epoch for epoch, _ in told] == [1, 2]
    assert min(value for _, value in told) == first["val_loss"]

    trial({"training.lr": 0.01, "decoding.beams": 3}, go_on, name="c")
    assert num_epochs_trained(trial.split) == 4
    remove_shared_trainings(trial.scratch, "medium")
    assert not folders(trial)


def test_training_alone_gives_the_numbers_of_the_trial(trial: TrainTrial, tmp_path: Path) -> None:
    """`train` fits the whole configuration, the trial one with those sections left out."""
    params = {"decoding.beams": 2, "training.lr": 0.002}
    measured = trial(params, go_on, name="a")
    data = trial.task.open_data(trial.split)
    config = trial.resolve(params, data).config
    result = fit(
        trial.task,
        config,
        data,
        directory=tmp_path / "train",
        fingerprint=fingerprint(config, data_hash=data.content_hash),
        progress=False,
    )
    assert measure(result.checkpoint, data, config)["decoded_score"] == measured["decoded_score"]
    (shared,) = folders(trial)
    one, other = weights_of(result.checkpoint), weights_of(shared / "checkpoint")
    assert all(one[name].equal(other[name]) for name in one)


def test_a_trial_that_was_stopped_goes_on_in_another_one_like_it(trial: TrainTrial) -> None:
    def stop_in_the_second(epoch: int, _metrics: object) -> bool:
        if epoch == 2:
            raise Interrupted("stopped", signal_number=15)
        return False

    with pytest.raises(Interrupted):
        trial({"decoding.beams": 1}, stop_in_the_second, name="a")
    assert not folders(trial)
    told: list[int] = []
    trial({"decoding.beams": 2}, lambda epoch, _: bool(told.append(epoch)), name="b")
    assert told == [2]
    assert num_epochs_trained(trial.split) == 3  # the second of the first trial is gone


def test_one_that_was_stopped_early_is_nobody_elses(trial: TrainTrial) -> None:
    metrics = trial({"decoding.beams": 1}, lambda *_: True, name="a")
    assert "decoded_score" not in metrics
    assert not folders(trial)
    trial({"decoding.beams": 1}, go_on, name="b")
    assert num_epochs_trained(trial.split) == 1 + 2


def test_one_that_failed_leaves_nothing(trial: TrainTrial) -> None:
    def fail(_epoch: int, _metrics: object) -> bool:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        trial({}, fail, name="a")
    assert not any(stage_folder(trial.scratch, "medium").glob("*/*"))


def test_a_training_is_named_after_what_it_reads(trial: TrainTrial) -> None:
    task, data = trial.task, trial.task.open_data(trial.split)
    config = DecoderConfig.model_validate({"decoding": {"beams": 5}, "seed": 3})
    read, key = training_fingerprint(task, config, data)
    assert read == DecoderConfig(seed=3)
    assert key == training_fingerprint(task, DecoderConfig(seed=3), data)[1]
    plain = replace(task, after_training=())
    assert training_fingerprint(plain, config, data)[0] == config


# ---- several workers -----------------------------------------------------------------------------


def result(folder: Path) -> FitResult:
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    return FitResult(
        checkpoint=folder / "checkpoint",
        best_epoch=1,
        best_metrics={"val_loss": 0.5},
        history=({"epoch": 1, "val_loss": 0.5},),
        stopped="finished",
        seconds=1.0,
        resumed_from=None,
    )


def test_who_comes_second_waits_and_does_not_train(tmp_path: Path) -> None:
    trained, release, begun = [], threading.Event(), threading.Event()
    checkpoints: list[Any] = []

    def train(folder: Path) -> tuple[FitResult, dict[str, float]]:
        trained.append(folder)
        begun.set()
        assert release.wait(10)
        return result(folder), {"val_loss": 0.5}

    def work() -> None:
        with train_or_reuse(tmp_path / "key", train) as found:
            checkpoints.append((found.checkpoint, found.metrics))

    workers = [threading.Thread(target=work) for _ in range(3)]
    workers[0].start()
    assert begun.wait(10)
    for worker in workers[1:]:
        worker.start()
    workers[1].join(0.2)
    assert workers[1].is_alive()
    release.set()
    for worker in workers:
        worker.join(10)
    assert len(trained) == 1
    assert checkpoints == [(tmp_path / "key" / "checkpoint", {"val_loss": 0.5})] * 3


def test_the_newest_stay_and_so_does_what_is_in_use(tmp_path: Path) -> None:
    def train(folder: Path) -> tuple[FitResult, dict[str, float]]:
        return result(folder), {}

    with train_or_reuse(tmp_path / "in-use", train) as used:
        for number in range(KEPT + 1):
            with train_or_reuse(tmp_path / f"key-{number}", train):
                pass
        assert used.checkpoint is not None
        assert used.checkpoint.is_dir()
        there = {path.parent.name for path in tmp_path.glob(f"*/{METRICS}")}
        assert there == {"in-use", *(f"key-{number}" for number in range(1, KEPT + 1))}


# ---- keys without an effect ----------------------------------------------------------------------

SPACE = {
    "decoding": {
        "beams": {"type": "int", "low": 1, "high": 4},
        "is_sampled": {"type": "categorical", "choices": [False, True]},
        "temperature": {"type": "float", "low": 0.1, "high": 1.0},
    }
}


def test_a_searched_key_without_an_effect_is_refused(trial: TrainTrial) -> None:
    space = parse_space(SPACE, root="toy.space")
    refuse_params_without_effect(trial, space, root="toy.space")
    fixed = parse_space({"decoding": {"temperature": SPACE["decoding"]["temperature"]}}, root="s")
    with pytest.raises(ConfigurationError, match=r"toy\.space\.decoding\.temperature is searched"):
        refuse_params_without_effect(trial, fixed, root="toy.space")
    assert num_epochs_trained(trial.split) == 0


def test_a_goal_that_training_measures_does_not_depend_on_it(trial: TrainTrial) -> None:
    space = parse_space(SPACE, root="toy.space")
    monitored = Scoring("val_loss", "min")
    with pytest.raises(ConfigurationError, match=r"decoding\.beams is searched.*val_loss.*objecti"):
        refuse_unmeasured_params(trial.task, space, monitored, root="toy.space")
    decoded = replace(monitored, goals=(Goal(metric="decoded_score", mode="max"),))
    refuse_unmeasured_params(trial.task, space, decoded, root="toy.space")
    other = parse_space({"training": {"lr": {"type": "float", "low": 0.1, "high": 1}}}, root="s")
    refuse_unmeasured_params(trial.task, other, monitored, root="toy.space")
