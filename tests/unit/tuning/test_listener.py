"""What a trial reports: kept, judged, and pruned for a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from toy_scripts import (
    Killed,
    Scripted,
    interrupted_search,
    search,
    states,
)
from toy_studies import quadratic, toy_plan

from seqtune.core.trials import Params
from seqtune.tuning.config import GapPenalty, Goal, PrunerConfig, SamplerConfig, StrategyConfig
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import ReportEpoch, TrialReport
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.stored_study import trial_in_storage
from seqtune.tuning.studies.study import open_study


def test_a_hopeless_trial_is_pruned_with_its_reason(sqlite: StorageUrl) -> None:
    def hopeless(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        for epoch in range(1, 11):
            if report(epoch, {"val_score": -9.0}):
                return {"val_score": -9.0, "epochs": epoch}
        raise AssertionError("not stopped")

    def fine(params: Params, report: ReportEpoch, *, name: str = "") -> Mapping[str, float]:
        for epoch in range(1, 11):
            report(epoch, {"val_score": -1.0 / epoch})
        return {"val_score": -0.1}

    plan = toy_plan(
        total=3,
        epochs=10,
        pruner=PrunerConfig(kind="median", startup_trials=2, warmup_epochs=3),
    )
    acts = {1: fine, 2: fine, 3: hopeless}
    _, trials = search(sqlite, plan, Scripted(acts))
    assert states(trials) == ["complete", "complete", "pruned"]
    assert trials[2].reason == "epoch 4: -9, 8.75 behind the median of 2 trials of -0.25"
    assert trials[2].metrics == {"val_score": -9.0, "epochs": 4.0}
    assert trials[2].score == -9.0


def test_epochs_without_validation_and_repeated_ones_change_nothing(sqlite: StorageUrl) -> None:
    def stutter(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"train_loss": 1.0})
        report(2, {"val_score": -1.0})
        report(2, {"val_score": -2.0})
        return {"val_score": -1.0}

    _, (trial,) = search(sqlite, toy_plan(total=1), Scripted({1: stutter}))
    assert trial.curve == {2: -1.0}


def test_a_trial_that_resumed_another_one_says_so_and_has_its_whole_curve(
    sqlite: StorageUrl,
) -> None:
    history = [{"epoch": 1.0, "val_score": -9.0}, {"epoch": 2.0, "train_loss": 1.0}]

    def promoted(params: Params, report: TrialReport) -> Mapping[str, float]:
        report.resume("toy-quick-12345678-0007", history)
        for epoch in (3, 4):
            if report(epoch, {"val_score": -1.0}):
                break
        return {"val_score": -1.0}

    def killed(params: Params, report: TrialReport) -> Mapping[str, float]:
        promoted(params, report)
        raise Killed

    pruner = PrunerConfig(kind="median", startup_trials=0, warmup_epochs=0, warmup_share=0.0)
    plan = toy_plan(total=1, epochs=4, pruner=pruner)
    trials = interrupted_search(sqlite, plan, {1: killed, 2: promoted}, stops=(Killed,))
    assert states(trials) == ["lost", "complete"]
    for trial in trials:
        assert trial.curve == {1: -9.0, 3: -1.0, 4: -1.0}
        assert (trial.resumed_from, trial.resumed_epoch) == ("toy-quick-12345678-0007", 2)


def test_the_gap_penalty_is_taken_from_the_score(sqlite: StorageUrl) -> None:
    def overfitted(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        metrics = {"val_score": 0.5, "train_score": 0.7}
        report(1, metrics)
        return metrics

    gap = GapPenalty(enabled=True, threshold=0.1, weight=0.5)
    plan = toy_plan(total=1, scoring=Scoring("val_score", "max", gap))
    _, (trial,) = search(sqlite, plan, Scripted({1: overfitted}))
    assert trial.score == pytest.approx(0.4)
    assert trial.metrics["val_score"] == 0.5


def test_several_goals_are_told_together_and_never_pruned(sqlite: StorageUrl) -> None:
    goals = (Goal(metric="val_score", mode="max"), Goal(metric="ms", mode="min"))
    plan = toy_plan(
        total=4,
        epochs=9,
        scoring=Scoring("val_score", "max", goals=goals),
        pruner=PrunerConfig(startup_trials=0, warmup_epochs=0, warmup_share=0.0),
    )

    def both(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        return {**quadratic(params, report, name=name), "ms": 2.0}

    study, trials = search(sqlite, plan, both)
    assert states(trials) == ["complete"] * 4
    assert trials[0].values == (trials[0].metrics["val_score"], 2.0)
    assert trials[0].score == trials[0].values[0]
    assert sorted(study.trials[0].user_attrs["curve"]) == ["1", "2", "3"]


def test_several_goals_stop_a_trial_by_their_pareto_fronts(sqlite: StorageUrl) -> None:
    goals = (Goal(metric="val_score", mode="max"), Goal(metric="model_mib", mode="min"))
    plan = toy_plan(
        total=4,
        epochs=9,
        scoring=Scoring("val_score", "max", goals=goals),
        pruner=PrunerConfig(kind="pareto", startup_trials=2, warmup_epochs=2),
    )

    def trained(score: float, mib: float) -> Any:
        def act(params: Params, report: ReportEpoch) -> Mapping[str, float]:
            metrics = {"val_score": score, "model_mib": mib}
            for epoch in range(1, 10):
                if report(epoch, {**metrics, "val_score": score - 0.1 * (epoch > 1)}):
                    break
            return {**metrics, "epochs": float(epoch)}

        return act

    acts = {1: trained(0.5, 9.0), 2: trained(0.4, 8.0), 3: trained(0.3, 9.0), 4: trained(0.1, 1.0)}
    study, trials = search(sqlite, plan, Scripted(acts))
    assert states(trials) == ["complete", "complete", "pruned", "complete"]
    assert trials[2].reason == "epoch 3: on Pareto front 2, behind 2 of 2 trials on better ones"
    assert study.trials[0].user_attrs["goals"]["9"] == [0.5, -9.0]  # of its best epoch
    assert trials[2].score == 0.3


def test_adaptive_ranges_move_within_one_study(sqlite: StorageUrl) -> None:
    strategy = StrategyConfig(kind="adaptive", window=3, min_improvement=10.0, shrink=0.3)
    plan = toy_plan(total=9, strategy=strategy, sampler=SamplerConfig(kind="tpe"))
    _, trials = search(sqlite, plan)
    first = [float(str(trial.params["x"])) for trial in trials[:6]]
    last = [float(str(trial.params["x"])) for trial in trials[6:]]
    assert max(last) - min(last) <= 2 * 0.3 + 1e-9
    assert max(first) - min(first) > 2 * 0.3


def test_a_kill_between_report_and_judgement_prunes_all_the_same(sqlite: StorageUrl) -> None:
    pruner = PrunerConfig(kind="median", startup_trials=1, warmup_epochs=1, warmup_share=0.0)
    plan = toy_plan(total=2, epochs=5, pruner=pruner)
    seen: list[int] = []

    def good(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        for epoch in (1, 2, 3, 4, 5):
            report(epoch, {"val_score": 1.0})
        return {"val_score": 1.0}

    def bad(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        for epoch in (1, 2, 3, 4, 5):
            seen.append(epoch)
            if report(epoch, {"val_score": 0.0}):
                break
        return {"val_score": 0.0}

    def killed(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_score": 0.0})
        study = open_study(sqlite, plan).study
        storage, trial_id = trial_in_storage(study, study.trials[-1].number)
        storage.set_trial_intermediate_value(trial_id, 2, 0.0)
        raise Killed

    trials = interrupted_search(sqlite, plan, {1: good, 2: killed, 3: bad}, stops=(Killed,))
    assert states(trials) == ["complete", "lost", "pruned"]
    assert seen == [1, 2]
