"""Studies of a fixed list of configurations, each run once: re-ranking and the seed stage.

As studies they have what every stage has: several workers, totals, and resuming after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seqtune.core.trials import Params, Trial
from seqtune.tuning.budgets.plans import StageBudget
from seqtune.tuning.config import PrunerConfig, SamplerConfig
from seqtune.tuning.plan import TrialReport
from seqtune.tuning.search.stage import StudyResult
from seqtune.tuning.spaces.space import parse_space

from .objective import TrainTrial
from .search import Search

RUN = "run"


@dataclass(frozen=True)
class FixedConfigTrial:
    """The objective of such a study: the parameter `run` is an index into the list."""

    trial: TrainTrial
    runs: tuple[Params, ...]

    def __call__(self, params: Params, report: TrialReport, *, name: str) -> Mapping[str, float]:
        return self.trial(self.runs[int(str(params[RUN]))], report, name=name)


def run_fixed_configs(
    search: Search, runs: Sequence[Params], *, stage: str, epochs: int
) -> tuple[list[Trial], StudyResult]:
    """Train every configuration of a list; return trials with their own parameters."""
    run = {"type": "categorical", "choices": list(range(len(runs)))}
    space = parse_space({RUN: run}, root=stage, known_keys=None)
    budget = StageBudget(
        stage=stage,
        trials=len(runs),
        epochs=epochs,
        timeout_seconds=None,
        sampler="grid",
        pruner="none",
        reason="one trial per configuration of the list",
    )
    plan = search.plan(budget, space)
    plan = replace(
        plan,
        environment={**plan.environment, "runs": [dict(run) for run in runs]},
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
