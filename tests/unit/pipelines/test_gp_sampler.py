"""The Gaussian process of the tuning engine: it needs torch, the tests of `tuning` do without."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "tuning"))

from toy_studies import DEAD, toy_plan

from seqtune.core.execution import WorkerInfo
from seqtune.core.trials import Params
from seqtune.tuning.config import SamplerConfig
from seqtune.tuning.plan import ReportEpoch
from seqtune.tuning.sampling.samplers import build_sampler
from seqtune.tuning.sampling.samplers.gp import MAX_LEARNED, sampled
from seqtune.tuning.search.loop import SearchWork
from seqtune.tuning.spaces.space import parse_space
from seqtune.tuning.studies.records import ORIGIN, QUEUED, WORKER, read_trials
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


def completed(number: int, *, num_goals: int = 1) -> list[FrozenTrial]:
    """Trials whose values are their number modulo 100, turned around for each further goal."""
    trials = []
    for index in range(number):
        value = float(index % 100)
        values = [value if goal % 2 == 0 else -value for goal in range(num_goals)]
        trial = create_trial(values=values)
        trial.number = index
        trials.append(trial)
    return trials


def test_a_gp_is_fitted_to_the_best_the_newest_and_others_at_random() -> None:
    past = completed(3 * MAX_LEARNED)
    assert sampled(past[:MAX_LEARNED], [StudyDirection.MAXIMIZE], seed=1) == past[:MAX_LEARNED]
    running = create_trial(state=TrialState.RUNNING, params={}, distributions={})
    chosen = sampled([*past, running], [StudyDirection.MAXIMIZE], seed=1)
    assert len(chosen) == MAX_LEARNED + 1
    numbers = {trial.number for trial in chosen[:-1]}
    assert numbers >= set(range(3 * MAX_LEARNED - MAX_LEARNED // 3, 3 * MAX_LEARNED))
    best = sorted(past, key=lambda trial: -trial.values[0])[: MAX_LEARNED // 3]
    assert numbers >= {trial.number for trial in best}
    assert chosen == sampled([*past, running], [StudyDirection.MAXIMIZE], seed=1)
    assert chosen != sampled([*past, running], [StudyDirection.MAXIMIZE], seed=2)


def test_of_several_goals_the_best_of_each_are_learned_from() -> None:
    past = completed(3 * MAX_LEARNED, num_goals=2)
    chosen = sampled(past, [StudyDirection.MAXIMIZE, StudyDirection.MAXIMIZE], seed=1)
    assert len(chosen) == MAX_LEARNED
    values = [trial.values[0] for trial in chosen]
    assert min(values) == 0.0
    assert max(values) == 99.0


def proposal_after(kind: str, scores: tuple[float, ...]) -> Params:
    """The first proposal after queued configurations with these scores."""
    space = parse_space({"x": SPACE["x"]}, root="toy")
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    for place, score in enumerate(scores):
        x = -0.9 + 1.8 * place / (len(scores) - 1)
        study.enqueue_trial({"x": x}, user_attrs={ORIGIN: QUEUED})
        trial = study.ask()
        assert space.suggest(trial) == {"x": x}
        study.tell(trial, score)
    config = SamplerConfig(kind=kind, startup_trials=1)
    num = len(scores)
    study.sampler = build_sampler(config, seed=1, rank=num, num_drawn=0, space=space)
    return space.suggest(study.ask())


@pytest.mark.parametrize("kind", ["gp", "tpe"])
def test_a_model_learns_from_the_portfolio(kind: str) -> None:
    rising, falling = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
    assert float(str(proposal_after(kind, rising)["x"])) > 0.3
    assert float(str(proposal_after(kind, falling)["x"])) < -0.3


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
