"""One worker's loop: totals, and what becomes of trials."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from toy_scripts import (
    PLACE,
    Scripted,
    raises,
    search,
    states,
)
from toy_studies import begin, quadratic, run_one, toy_plan

from seqtune.core.errors import (
    ConfigurationError,
    InfeasibleError,
    Interrupted,
    StorageError,
)
from seqtune.core.trials import Params
from seqtune.tuning.config import Goal, SamplerConfig
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import ReportEpoch
from seqtune.tuning.search.loop import SearchWork
from seqtune.tuning.studies.records import (
    ORIGIN,
    QUEUED,
    closing_reason,
    mark_failed,
    read_trials,
    set_closing,
)
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import open_study

# ---- totals -------------------------------------------------------------------------------------


def test_runs_until_the_total_is_finished_and_then_no_more(sqlite: StorageUrl) -> None:
    _, trials = search(sqlite, toy_plan(total=3))
    assert states(trials) == ["complete"] * 3
    assert search(sqlite, toy_plan(total=3))[1] == trials
    assert states(search(sqlite, toy_plan(total=5))[1]) == ["complete"] * 5


def test_a_complete_trial_keeps_score_metrics_curve_and_worker(sqlite: StorageUrl) -> None:
    _, (trial,) = search(sqlite, toy_plan(total=1))
    value = -((float(str(trial.params["x"])) - 0.3) ** 2)
    assert trial.score == pytest.approx(value)
    assert trial.metrics == {"val_score": pytest.approx(value)}
    assert list(trial.curve) == [1, 2, 3]
    assert trial.worker == "here"


def test_what_failed_or_cannot_be_run_does_not_count(sqlite: StorageUrl) -> None:
    acts = {
        1: raises(ValueError("no such thing")),
        3: raises(InfeasibleError("7 heads", constraint="shapes", violation=2.0)),
    }
    _, trials = search(sqlite, toy_plan(total=2), Scripted(acts))
    assert states(trials) == ["failed", "complete", "infeasible", "complete"]


def test_a_trial_beyond_the_total_is_given_back(sqlite: StorageUrl) -> None:
    plan = toy_plan(total=2)
    study = open_study(sqlite, plan).study
    work = SearchWork(sqlite, study.study_name, plan, quadratic)
    begin(study, plan)
    begin(study, plan)
    assert work._ask(study, PLACE) is None
    trials = read_trials(study)
    assert states(trials) == ["running", "running", "lost"]
    assert trials[-1].reason.startswith("given back")


def test_waits_for_running_trials_instead_of_beginning_one_too_many(
    sqlite: StorageUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = toy_plan(total=2)
    study = open_study(sqlite, plan).study
    run_one(study, plan)
    other = begin(study, plan)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            mark_failed(study, other, "it had to be")

    monkeypatch.setattr("seqtune.tuning.search.loop.time.sleep", sleep)
    _, trials = search(sqlite, plan)
    assert states(trials) == ["complete", "failed", "complete"]
    assert len(waited) == 2


def test_nothing_is_begun_in_a_study_that_is_closing(sqlite: StorageUrl) -> None:
    plan = toy_plan()
    set_closing(open_study(sqlite, plan).study, "the time is up")
    assert search(sqlite, plan)[1] == []


def test_queued_configurations_come_first_with_all_their_values(sqlite: StorageUrl) -> None:
    plan = toy_plan(total=3)
    study = open_study(sqlite, plan).study
    study.enqueue_trial({"x": 0.3}, user_attrs={ORIGIN: QUEUED})
    _, trials = search(sqlite, plan)
    assert trials[0].params["x"] == 0.3
    assert trials[0].origin == QUEUED
    assert set(trials[0].params) == {"model.size", "training.lr", "x"}
    assert [trial.origin for trial in trials[1:]] == ["sampled"] * 2


def test_fixed_values_go_along_under_the_searched_ones(sqlite: StorageUrl) -> None:
    objective = Scripted({})
    plan = toy_plan(total=1, fixed={"training.lr": 9.0, "model.layers": 2})
    search(sqlite, plan, objective)
    ((name, params),) = objective.calls
    assert params["model.layers"] == 2
    assert params["training.lr"] != 9.0
    assert name.startswith("toy-quick-")
    assert name.endswith("-0000")


def test_an_exhausted_grid_closes_the_study_with_a_note(sqlite: StorageUrl) -> None:
    space = {"x": {"type": "int", "low": 0, "high": 2}}
    plan = toy_plan(space, total=10, sampler=SamplerConfig(kind="grid"))
    study, trials = search(sqlite, plan)
    assert sorted(trial.params["x"] for trial in trials) == [0, 1, 2]
    assert "every configuration of the grid was tried (3 finished)" in closing_reason(study)


# ---- outcomes -----------------------------------------------------------------------------------


def test_an_exception_fails_the_trial_with_type_message_and_place(sqlite: StorageUrl) -> None:
    _, trials = search(sqlite, toy_plan(total=1), Scripted({1: raises(ValueError("no such"))}))
    assert trials[0].state == "failed"
    assert trials[0].reason.startswith("ValueError: no such (toy_scripts.py:")
    assert trials[0].curve == {1: -1.0}


def test_a_score_that_is_no_number_fails_the_trial(sqlite: StorageUrl) -> None:
    def diverge(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_score": math.nan})
        return {"val_score": math.nan}

    def explode(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_score": -1.0})
        return {"val_score": math.inf}

    _, trials = search(sqlite, toy_plan(total=1), Scripted({1: diverge, 2: explode}))
    assert states(trials) == ["failed", "failed", "complete"]
    assert "val_score is nan" in trials[0].reason


def test_out_of_memory_is_a_constraint_that_samplers_hear_of(sqlite: StorageUrl) -> None:
    study, trials = search(sqlite, toy_plan(total=1), Scripted({1: raises(MemoryError())}))
    assert states(trials) == ["infeasible", "complete"]
    assert study.trials[0].constraints == {"out of memory": 1.0}
    assert study.trials[1].constraints == {}


def test_too_many_failures_in_a_row_end_the_work(sqlite: StorageUrl) -> None:
    def always(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        raise ValueError("broken")

    _, trials = search(sqlite, toy_plan(total=9), always)
    assert states(trials) == ["failed"] * 3
    assert states(search(sqlite, toy_plan(total=9), always)[1]) == ["failed"] * 6


def test_too_many_refusals_in_a_row_end_the_work(sqlite: StorageUrl) -> None:
    def always(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        raise InfeasibleError("too large", constraint="memory")

    assert states(search(sqlite, toy_plan(total=9), always)[1]) == ["infeasible"] * 5


@pytest.mark.parametrize(
    "error", [Interrupted("stop", signal_number=15), KeyboardInterrupt(), StorageError("full")]
)
def test_a_stop_queues_the_trial_again_and_ends_the_work(
    sqlite: StorageUrl, error: BaseException
) -> None:
    plan = toy_plan(total=2)
    objective = Scripted({2: raises(error)})
    with pytest.raises(type(error)):
        search(sqlite, plan, objective)
    assert states(read_trials(open_study(sqlite, plan).study)) == ["complete", "lost", "waiting"]
    _, trials = search(sqlite, plan, objective)
    assert states(trials) == ["complete", "lost", "complete"]
    assert trials[2].params == trials[1].params
    assert trials[2].origin == "retried"
    assert objective.calls[1] == objective.calls[2]


def test_a_metric_that_no_epoch_reported_ends_the_search(sqlite: StorageUrl) -> None:
    def mute(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_los": 0.1})
        return {"val_score": 0.1}

    with pytest.raises(
        ConfigurationError, match=r"by 'val_score', which no epoch reported \(reported: val_los\)"
    ):
        search(sqlite, toy_plan(), Scripted({1: mute}))


def test_a_goal_that_is_known_at_the_end_need_not_be_reported(sqlite: StorageUrl) -> None:
    def measured(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        assert not report(1, {"val_score": 0.1})
        return {"val_score": 0.1, "decoded": 0.7}

    goals = (Goal(metric="decoded", mode="max"),)
    plan = toy_plan(total=1, scoring=Scoring("val_score", "max", goals=goals))
    _, (trial,) = search(sqlite, plan, Scripted({1: measured}))
    assert (trial.score, trial.curve) == (0.7, {1: 0.1})


def test_a_trial_taken_away_before_its_end_is_not_judged(sqlite: StorageUrl) -> None:
    goals = (Goal(metric="decoded", mode="max"),)
    plan = toy_plan(total=1, scoring=Scoring("val_score", "max", goals=goals))
    study = open_study(sqlite, plan).study

    def stopped(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        mark_failed(study, study.trials[0], "took longer than 1 minute")
        assert report(1, {"val_score": 0.1})
        return {"val_score": 0.1}

    def measured(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_score": 0.1})
        return {"decoded": 0.7}

    _, trials = search(sqlite, plan, Scripted({1: stopped, 2: measured}))
    assert states(trials) == ["failed", "complete"]


def test_a_metric_missing_at_the_best_epoch_ends_the_search(sqlite: StorageUrl) -> None:
    def partly(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_score": 0.1})
        return {"train_score": 0.1}

    with pytest.raises(ConfigurationError, match="was not measured; measured: train_score"):
        search(sqlite, toy_plan(), Scripted({1: partly}))


def test_a_trial_that_somebody_else_has_ended_is_dropped(
    sqlite: StorageUrl, caplog: pytest.LogCaptureFixture
) -> None:
    plan = toy_plan(total=1)
    study = open_study(sqlite, plan).study

    def slow(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_score": -1.0})
        mark_failed(study, study.trials[0], "took longer than 1 minute")
        assert report(2, {"val_score": -1.0})
        return {"val_score": -1.0}

    _, trials = search(sqlite, plan, Scripted({1: slow}))
    assert states(trials) == ["failed", "complete"]
    assert trials[0].reason == "took longer than 1 minute"
    assert "trial 0 was ended by another process" in caplog.text
