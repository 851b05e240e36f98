"""What a study is asked to do, complete and picklable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from seqtune.core.trials import Params

from .config import GuardConfig, PrunerConfig, SamplerConfig, StrategyConfig
from .objectives.scoring import Scoring
from .spaces.space import Space

ReportEpoch = Callable[[int, Mapping[str, float]], bool]
"""Hears of every epoch (counted from 1) and its metrics; True asks to stop."""


class Objective(Protocol):
    """Trains one configuration. Picklable; called in a worker process."""

    def __call__(self, params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        """Metrics at the best epoch.

        `name` is unique to the trial and the same when it is run again after its process died: a
        folder of that name may hold a state to go on from. Raises InfeasibleError for what cannot
        be run, Interrupted when a signal asked to stop; whatever else it raises fails the trial.
        """


@dataclass(frozen=True)
class StudyPlan:
    """One study: a space, a budget, and how to search."""

    task: str
    stage: str
    """quick; for parts of a stage with a suffix: quick.model, medium.rerank."""
    space: Space
    total: int
    """Finished trials (complete and pruned) at which it is over."""
    epochs: int
    scoring: Scoring
    seed: int
    sampler: SamplerConfig
    """Its kind is settled: never auto."""
    pruner: PrunerConfig
    environment: Mapping[str, Any]
    """All that a trial's result depends on beside its parameters; JSON-ready."""
    fixed: Params = field(default_factory=dict)
    """Values carried forward from an earlier part, under those that are searched."""
    queue: tuple[Params, ...] = ()
    """Configurations to run first, in this order."""
    guards: GuardConfig = field(default_factory=GuardConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    """Only `adaptive` matters within one study."""
    warm_start: str | None = None
    timeout_seconds: float | None = None

    def identity(self) -> dict[str, Any]:
        """What makes it another study: space, fixed values, environment, epochs and score."""
        return {
            "space": self.space.identity(),
            "fixed": dict(self.fixed),
            "environment": dict(self.environment),
            "epochs": self.epochs,
            "scoring": self.scoring.identity(),
        }
