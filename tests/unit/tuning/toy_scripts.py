"""Objectives that follow a script, and one worker that runs a search with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from toy_studies import DEAD, SPACE, quadratic

from seqtune.core.execution import WorkerInfo
from seqtune.core.trials import Params, Trial
from seqtune.tuning.plan import Objective, ReportEpoch, StudyPlan
from seqtune.tuning.search.loop import SearchWork
from seqtune.tuning.studies.records import (
    WORKER,
    read_trials,
)
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.stored_study import StoredStudy, trial_in_storage
from seqtune.tuning.studies.study import open_study, recover

PLACE = WorkerInfo(0, 1, "here")
Act = Callable[[Params, ReportEpoch], Mapping[str, float]]


class Killed(BaseException):
    """The process died: nothing of ours runs any more."""


@dataclass
class Scripted:
    """A quadratic that does something else in some of its calls, counted from 1."""

    acts: Mapping[int, Act]
    rest: Objective = quadratic
    calls: list[tuple[str, Params]] = field(default_factory=list)

    def __call__(self, params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        self.calls.append((name, dict(params)))
        act = self.acts.get(len(self.calls))
        return act(params, report) if act else self.rest(params, report, name=name)


def raises(error: BaseException) -> Act:
    def act(params: Params, report: ReportEpoch) -> Mapping[str, float]:
        report(1, {"val_score": -1.0})
        raise error

    return act


def search(
    ref: StorageUrl, plan: StudyPlan, objective: Objective = quadratic
) -> tuple[StoredStudy, list[Trial]]:
    """One worker until it leaves."""
    study = open_study(ref, plan).study
    SearchWork(ref, study.study_name, plan, objective)(PLACE)
    return study, read_trials(study)


def states(trials: list[Trial]) -> list[str]:
    return [trial.state for trial in trials]


CONDITIONAL = {
    **SPACE,
    "depth": {"type": "int", "low": 1, "high": 4},
    "decay": {"type": "float", "low": 0.0, "high": 1.0, "when": {"model.size": ["large"]}},
}


def brief(params: Params, report: ReportEpoch, *, name: str = "") -> Mapping[str, float]:
    """A quadratic of one epoch."""
    value = -((float(str(params["x"])) - 0.3) ** 2)
    report(1, {"val_score": value})
    return {"val_score": value}


def finished(trials: list[Trial]) -> list[tuple[Params, float | None]]:
    return [(trial.params, trial.score) for trial in trials if trial.is_finished]


def interrupted_search(
    ref: StorageUrl, plan: StudyPlan, acts: Mapping[int, Act], *, stops: tuple[Any, ...]
) -> list[Trial]:
    """One worker after another, each ended by the next of the acts that raise a stop."""
    objective = Scripted(acts, rest=brief)
    while True:
        try:
            return search(ref, plan, objective)[1]
        except stops:
            study = open_study(ref, plan).study
            for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
                storage, trial_id = trial_in_storage(study, trial.number)
                storage.set_trial_user_attr(trial_id, WORKER, DEAD)
            recover(study, max_retries=9, grace_seconds=1)
