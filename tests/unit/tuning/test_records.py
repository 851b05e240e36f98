from __future__ import annotations

import subprocess
import sys
import time

import optuna
import pytest
from toy_studies import DEAD, ELSEWHERE, begin, finish, run_one, toy_plan

from seqtune.core.trials import Trial
from seqtune.tuning.studies.processes import is_alive, worker_identity, worker_name
from seqtune.tuning.studies.records import (
    CURVE,
    ORIGIN,
    REASON,
    STATE,
    Counts,
    closing_reason,
    count,
    mark_failed,
    mark_infeasible,
    mark_lost,
    read_trials,
    root_number,
    set_closing,
    to_trial,
)
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import open_study

PLAN = toy_plan()


@pytest.fixture
def study(sqlite: StorageUrl) -> optuna.Study:
    return open_study(sqlite, PLAN).study


def test_a_complete_trial_keeps_its_whole_story(study):
    trial = begin(study, PLAN)
    finish(study, trial, 0.7)

    (read,) = read_trials(study)

    assert (read.number, read.state, read.score, read.values) == (0, "complete", 0.7, (0.7,))
    assert read.metrics == {"val_score": 0.7}
    assert read.curve == {1: 0.7, 2: 0.7}
    assert read.params == trial.params
    assert (read.origin, read.reason) == ("sampled", "")
    assert read.started is not None
    assert read.started.endswith("+00:00")
    assert read.seconds is not None
    assert read.worker == worker_name(worker_identity())
    assert Trial.from_row(read.row()) == read


def test_a_refused_trial_is_pruned_with_a_constraint_that_samplers_see(study):
    trial = begin(study, PLAN)

    assert mark_infeasible(study, trial, "too large", constraint="memory", violation=512.0)

    frozen = study.trials[0]
    assert frozen.state.name == "PRUNED"
    assert frozen.constraints == {"memory": 512.0}
    assert (to_trial(frozen).state, to_trial(frozen).reason) == ("infeasible", "too large")
    assert count(study).finished == 0


def test_a_failed_trial_has_its_reason(study):
    assert mark_failed(study, begin(study, PLAN), "loss is NaN")
    assert [(one.state, one.reason) for one in read_trials(study)] == [("failed", "loss is NaN")]


def test_a_lost_trial_waits_again_with_its_parameters_curve_and_root(study):
    trial = begin(study, PLAN)
    trial.report(0.25, 1)

    assert mark_lost(study, trial, "killed", max_retries=3)

    lost, waiting = read_trials(study)
    assert (lost.state, lost.reason) == ("lost", "killed")
    assert (waiting.state, waiting.origin) == ("waiting", "retried")
    assert waiting.params == lost.params == trial.params
    assert waiting.curve == {1: 0.25}
    assert root_number(study.trials[1]) == 0

    again = begin(study, PLAN)
    assert (again.number, again.params) == (1, trial.params)
    mark_lost(study, again, "killed", max_retries=3)
    assert root_number(study.trials[2]) == 0


def test_a_lost_trial_of_several_objectives_keeps_its_curve(study):
    trial = begin(study, PLAN)
    trial.set_user_attr(CURVE, {"10": 0.5, "9": 0.25})

    mark_lost(study, trial, "killed", max_retries=3)

    assert [list(one.curve.items()) for one in read_trials(study)] == [[(9, 0.25), (10, 0.5)]] * 2


def test_a_trial_whose_process_dies_too_often_fails(study):
    for _ in range(3):
        mark_lost(study, begin(study, PLAN), "killed", max_retries=2)

    states = [trial.state for trial in read_trials(study)]
    assert states == ["lost", "lost", "failed"]
    assert read_trials(study)[-1].reason == (
        "its process died 3 times (last: killed); guards.max_retries=2 allows no further run"
    )


def test_a_stop_in_good_order_is_no_strike_against_a_trial(study):
    for _ in range(4):
        mark_lost(study, begin(study, PLAN), "stopped", max_retries=0, died=False)

    assert [trial.state for trial in read_trials(study)] == [*["lost"] * 4, "waiting"]


def test_a_trial_that_is_given_back_is_not_run_again(study):
    mark_lost(study, begin(study, PLAN), "one too many", max_retries=3, again=False)
    assert [trial.state for trial in read_trials(study)] == ["lost"]


def test_a_queued_trial_that_is_lost_before_it_began_keeps_its_values(study):
    study.enqueue_trial({"x": 0.5}, user_attrs={ORIGIN: "queued"})
    assert read_trials(study)[0].params == {"x": 0.5}

    mark_lost(study, study.ask(), "killed", max_retries=3)

    assert begin(study, PLAN).params["x"] == 0.5


def test_only_one_of_two_ends_a_trial(study):
    trial = begin(study, PLAN)
    finish(study, trial)

    assert not mark_lost(study, trial, "killed", max_retries=3)
    assert not mark_failed(study, trial, "slow")
    (read,) = study.trials
    assert STATE not in read.user_attrs
    assert REASON not in read.user_attrs


def test_imported_trials_count_for_nothing(study):
    run_one(study, PLAN)
    imported = study.trials[0]
    imported.user_attrs[ORIGIN] = "imported"
    study.add_trial(imported)

    assert count(study) == Counts(complete=1)
    assert len(read_trials(study)) == 1
    assert len(read_trials(study, with_imported=True)) == 2


def test_closing_is_seen_through_another_connection(study, sqlite):
    other = open_study(sqlite, PLAN).study
    assert closing_reason(other) == ""

    set_closing(study, "the time is up")
    assert closing_reason(other) == "the time is up"

    set_closing(study, "")
    assert closing_reason(other) == ""


def test_a_process_is_told_from_its_successor_of_the_same_number():
    here = worker_identity()
    assert is_alive(here) is True
    assert is_alive({**here, "started": "1"}) is False
    assert is_alive(DEAD) is False


def test_a_process_that_was_not_reaped_yet_is_dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    identity = {**worker_identity(), "pid": process.pid}
    time.sleep(0.5)
    assert is_alive(identity) is False
    process.wait()


def test_a_process_elsewhere_cannot_be_seen():
    assert is_alive(ELSEWHERE) is None
    assert is_alive({**worker_identity(), "boot": "another"}) is None
