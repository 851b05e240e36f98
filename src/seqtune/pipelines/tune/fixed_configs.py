"""Studies that propose nothing: a list of configurations, each run once.

The re-ranking and the seed stage are such lists. As studies they have what every stage has: several
workers, totals, and going on after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqtune.core.trials import Params, Trial
from seqtune.tuning.budgets.plans import StageBudget
from seqtune.tuning.config import PrunerConfig, SamplerConfig
from seqtune.tuning.plan import ReportEpoch
from seqtune.tuning.search.stage import StudyResult
from seqtune.tuning.spaces.space import parse_space

from .objective import TrainTrial
from .search import Search

RUN = "run"


@dataclass(frozen=True)
class FixedConfigTrial:
    """The objective of a list: parameter `run` says which configuration."""

    trial: TrainTrial
    runs: tuple[Params, ...]

    def __call__(self, params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        return self.trial(self.runs[int(str(params[RUN]))], report, name=name)


def run_fixed_configs(
    search: Search, runs: Sequence[Params], *, stage: str, epochs: int
) -> tuple[list[Trial], StudyResult]:
    """Train every configuration of a list; the trials come back with their own parameters."""
    choices = list(range(len(runs)))
    space = parse_space(
        {RUN: {"type": "categorical", "choices": choices}}, root=stage, known_keys=None
    )
    budget = StageBudget(
        stage=stage,
        trials=len(runs),
        epochs=epochs,
        timeout_seconds=None,
        sampler="grid",
        pruner="none",
        reason="one trial for each configuration of the list",
    )
    plan = search.plan(budget, space)
    listed: dict[str, Any] = {"runs": [dict(run) for run in runs]}
    plan = replace(
        plan,
        environment={**plan.environment, **listed},
        sampler=SamplerConfig(kind="grid"),
        pruner=PrunerConfig(kind="none"),
        warm_start=None,
    )
    objective = FixedConfigTrial(search.objective(budget), tuple(runs))
    result = search.run(plan, objective)
    trials = [
        replace(trial, params=runs[int(str(trial.params[RUN]))])
        for trial in result.trials
        if RUN in trial.params
    ]
    return trials, result
