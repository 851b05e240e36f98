"""A plan over a quadratic, and small ways to put trials into its study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna

from seqtune.core.trials import Params
from seqtune.tuning.config import GuardConfig, PrunerConfig, SamplerConfig
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.plan import ReportEpoch, StudyPlan
from seqtune.tuning.spaces.space import parse_space
from seqtune.tuning.studies.processes import worker_identity
from seqtune.tuning.studies.records import METRICS, WORKER

SPACE = {
    "model": {"size": {"type": "categorical", "choices": ["large", "small"]}},
    "training": {"lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True}},
    "x": {"type": "float", "low": -1.0, "high": 1.0},
}
DEAD = {**worker_identity(), "pid": 2**22 + 1, "started": "1"}
"""A process of this machine that is gone: above the largest number that Linux gives."""
ELSEWHERE = {**worker_identity(), "host": "another-machine"}


def toy_plan(space: Mapping[str, Any] | None = None, **changes: Any) -> StudyPlan:
    plan = StudyPlan(
        task="toy",
        stage="quick",
        space=parse_space(SPACE if space is None else space, root="toy.space"),
        total=4,
        epochs=3,
        scoring=Scoring(metric="val_score", mode="max"),
        seed=1,
        sampler=SamplerConfig(kind="random"),
        pruner=PrunerConfig(kind="none"),
        environment={"data": "abc", "versions": {"seqtune": "0.0"}},
        guards=GuardConfig(max_retries=2, max_failures_in_a_row=3, max_infeasible_in_a_row=5),
    )
    return replace(plan, **changes)


def quadratic(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
    """Best at x=0.3; three epochs."""
    value = -((float(params["x"]) - 0.3) ** 2)  # type: ignore[arg-type]
    for epoch in (1, 2, 3):
        if report(epoch, {"val_score": value - 1 / epoch}):
            break
    return {"val_score": value}


def begin(
    study: optuna.Study, plan: StudyPlan, worker: Mapping[str, Any] | None = None
) -> optuna.Trial:
    """A trial under way, run by this process unless another worker is given."""
    trial = study.ask()
    trial.set_user_attr(WORKER, dict(worker or worker_identity()))
    plan.space.suggest(trial)
    return trial


def finish(study: optuna.Study, trial: optuna.Trial, value: float = 0.5) -> None:
    for epoch in (1, 2):
        trial.report(value, epoch)
    trial.set_user_attr(METRICS, {"val_score": value})
    study.tell(trial, value)


def run_one(study: optuna.Study, plan: StudyPlan, value: float = 0.5) -> optuna.Trial:
    trial = begin(study, plan)
    finish(study, trial, value)
    return trial
