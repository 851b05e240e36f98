"""The Gaussian process of the tuning engine: it needs torch, the tests of `tuning` do without."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "tuning"))

from toy_studies import DEAD, toy_plan

from seqtune.core.execution import WorkerInfo
from seqtune.core.trials import Params
from seqtune.tuning.config import SamplerConfig
from seqtune.tuning.plan import ReportEpoch
from seqtune.tuning.sampling.samplers import build_sampler
from seqtune.tuning.search.loop import SearchWork
from seqtune.tuning.spaces.space import parse_space
from seqtune.tuning.studies.records import WORKER, read_trials
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.stored_study import trial_in_storage
from seqtune.tuning.studies.study import open_study, recover

SPACE = {
    "kind": {"type": "categorical", "choices": ["a", "b"]},
    "x": {"type": "float", "low": -1.0, "high": 1.0},
    "gamma": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
}
PLAN = toy_plan(SPACE, total=7, sampler=SamplerConfig(kind="gp", startup_trials=3))


class Killed(BaseException):
    """The process died."""


def finished(ref: StorageUrl, *, killed_at: tuple[int, ...] = ()) -> list[tuple[Params, object]]:
    calls: list[str] = []

    def objective(params: Params, report: ReportEpoch, *, name: str) -> dict[str, float]:
        calls.append(name)
        value = -((float(str(params["x"])) - 0.3) ** 2)
        report(1, {"val_score": value})
        if len(calls) in killed_at:
            raise Killed
        return {"val_score": value}

    study = open_study(ref, PLAN).study
    work = SearchWork(ref, study.study_name, PLAN, objective)
    for _ in range(len(killed_at) + 1):
        try:
            work(WorkerInfo(0, 1, "here"))
        except Killed:
            for trial in study.get_trials(states=(TrialState.RUNNING,)):
                storage, trial_id = trial_in_storage(study, trial.number)
                storage.set_trial_user_attr(trial_id, WORKER, DEAD)
            recover(study, max_retries=9, grace_seconds=1)
    return [(one.params, one.score) for one in read_trials(study) if one.is_finished]


def test_kills_leave_no_trace_in_what_a_gp_proposes(tmp_path: Path) -> None:
    whole = finished(StorageUrl(f"sqlite:///{tmp_path}/whole.db"))
    again = finished(StorageUrl(f"sqlite:///{tmp_path}/again.db"), killed_at=(2, 6))
    assert len(whole) == 7
    assert again == whole


def num_refused(*, failed: bool) -> int:
    """How many of the last trials run into a wall at x < 0; elsewhere x does not matter."""
    space = parse_space({key: SPACE[key] for key in ("kind", "x")}, root="toy")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    refused = []
    for rank in range(18):
        trial = study.ask()
        study.sampler = build_sampler(
            SamplerConfig(kind="gp", startup_trials=6), seed=1, rank=rank, space=space
        )
        is_refused = float(str(space.suggest(trial)["x"])) < 0
        refused.append(is_refused)
        if not is_refused:
            study.tell(trial, 0.5)
        elif failed:
            study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_constraint("memory", 1.0)
            study.tell(trial, state=TrialState.PRUNED)
    return sum(refused[6:])


def test_a_gp_learns_from_infeasible_trials_though_they_are_not_complete() -> None:
    assert num_refused(failed=False) <= 4
    assert num_refused(failed=True) >= 8
