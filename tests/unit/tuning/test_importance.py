"""Importance: what matters comes first, and noise is called noise."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from seqtune.core.trials import Trial
from seqtune.tuning.analysis.importance import importance
from seqtune.tuning.spaces.space import parse_space

SPACE = parse_space(
    {
        "big": {"type": "float", "low": 0.0, "high": 1.0},
        "small": {"type": "float", "low": 1.0e-3, "high": 1.0, "log": True},
        "choice": {"type": "categorical", "choices": ["a", "b"]},
        "child": {"type": "int", "low": 1, "high": 9, "when": {"choice": ["b"]}},
        "constant": {"type": "categorical", "choices": [7]},
    },
    root="toy",
)


def toy(num: int, *, pruned_below: float = -1.0) -> list[Trial]:
    drawn = np.random.default_rng(0)
    trials = []
    for number in range(num):
        params = SPACE.from_unit(drawn.random(len(SPACE.keys)).tolist())
        score = 1.0 - (float(params["big"] or 0.0) - 0.5) ** 2
        state = "complete" if score > pruned_below else "pruned"
        trials.append(Trial(number, state, params, score=score))
    return trials


@pytest.mark.parametrize("mode", ["max", "min"])
def test_what_matters_comes_first_and_shares_sum_to_one(mode: str) -> None:
    trials = toy(60)
    if mode == "min":
        trials = [replace(trial, score=-(trial.score or 0.0)) for trial in trials]
    found = importance(trials, SPACE, mode=mode)  # type: ignore[arg-type]

    assert next(iter(found.values)) == "big"
    assert found.values["big"] > 0.5
    assert sum(found.values.values()) == pytest.approx(1.0)
    assert found.values["constant"] == 0.0
    assert set(found.values) == set(SPACE.keys)
    assert (found.is_noise, found.num_trials) == (False, 60)


def test_the_same_trials_give_the_same_values() -> None:
    assert importance(toy(40), SPACE, mode="max") == importance(toy(40), SPACE, mode="max")


def test_fewer_than_25_finished_trials_are_noise() -> None:
    failed = [Trial(100 + i, "failed", {}) for i in range(9)]
    found = importance([*toy(24), *failed], SPACE, mode="max")

    assert found.is_noise
    assert found.note == "24 finished trials are too few, 25 are needed"


def test_pruned_trials_count_as_tried() -> None:
    trials = toy(60, pruned_below=0.9)
    found = importance(trials, SPACE, mode="max")
    survivors = importance([t for t in trials if t.state == "complete"], SPACE, mode="max")

    assert (found.num_trials, found.is_noise) == (60, False)
    assert found.values["big"] > survivors.values["big"]


def test_a_pruned_trial_is_never_among_the_best() -> None:
    trials = toy(60, pruned_below=0.9)
    flattered = [replace(t, score=9.0) if t.state == "pruned" else t for t in trials]

    assert importance(flattered, SPACE, mode="max").values["big"] > 0.5


def test_trials_of_a_model_and_survivors_of_a_pruner_are_noise() -> None:
    assert (
        "makes importances near chance"
        in importance(toy(40), SPACE, mode="max", sampler="tpe").note
    )
    assert not importance(toy(40), SPACE, mode="max", sampler="sobol").is_noise
    few = importance(toy(40, pruned_below=0.999), SPACE, mode="max")
    assert few.is_noise
    assert "trials were not pruned" in few.note


@pytest.mark.parametrize("num", [0, 1])
def test_without_trials_all_shares_are_zero(num: int) -> None:
    found = importance(toy(num), SPACE, mode="max")

    assert set(found.values.values()) == {0.0}
    assert found.is_noise


def test_infinite_scores_and_values_outside_the_space_are_left_out() -> None:
    odd = [
        Trial(90, "complete", {"big": 0.5, "gone": 1, "choice": "z"}, score=2.0),
        Trial(91, "complete", {"big": 0.5}, score=float("inf")),
    ]
    assert importance([*toy(30), *odd], SPACE, mode="max").num_trials == 31


def test_optuna_stays_quiet_and_keeps_its_own_setting(caplog: pytest.LogCaptureFixture) -> None:
    from optuna import logging as optuna_logging

    before = optuna_logging.get_verbosity()
    with caplog.at_level(logging.DEBUG):
        importance(toy(30), SPACE, mode="max")

    assert optuna_logging.get_verbosity() == before
    assert caplog.records == []


def test_importing_it_does_not_import_optuna() -> None:
    code = (
        "import sys, seqtune.tuning.narrowing.narrow, seqtune.tuning.analysis.stage_analysis, "
        "seqtune.tuning.analysis.rerank; "
        "assert not {'optuna', 'numpy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
