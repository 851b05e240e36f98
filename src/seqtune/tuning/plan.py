"""The plan of a study, complete and picklable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from seqtune.core.trials import Params

from .config import GuardConfig, PrunerConfig, SamplerConfig, StrategyConfig
from .objectives.scoring import Scoring
from .spaces.space import Space

ReportEpoch = Callable[[int, Mapping[str, float]], bool]
"""Called for every epoch (from 1) with its metrics; True asks to stop."""


class TrialReport(Protocol):
    """What the search passes to an objective: a `ReportEpoch` that can be told of a resume."""

    def __call__(self, epoch: int, metrics: Mapping[str, float], /) -> bool:
        """Record an epoch and return whether the trial should stop."""

    def resume(self, trial: str, history: Sequence[Mapping[str, float]]) -> None:
        """Record that training resumes where another trial ended, after the rows of `history`."""


class Objective(Protocol):
    """Trains one configuration. Picklable; called in a worker process."""

    def __call__(self, params: Params, report: TrialReport, *, name: str) -> Mapping[str, float]:
        """Return the metrics at the best epoch.

        `name` is unique to the trial and stays the same when it runs again: a folder of that name
        may contain a state to resume from. Raises InfeasibleError for what cannot run, Interrupted
        after a signal; any other error fails the trial.
        """


@dataclass(frozen=True)
class StudyPlan:
    """One study: a space, a budget, and how to search."""

    task: str
    stage: str
    """Such as quick; with a suffix for a part: quick.model, medium.rerank."""
    space: Space
    total: int
    """Number of finished trials (complete and pruned) to reach."""
    epochs: int
    scoring: Scoring
    seed: int
    sampler: SamplerConfig
    """Its kind is never auto."""
    pruner: PrunerConfig
    environment: Mapping[str, Any]
    """All that a trial's result depends on besides its parameters; JSON-ready."""
    fixed: Params = field(default_factory=dict)
    """Values from an earlier part; searched values override them."""
    queue: tuple[Params, ...] = ()
    """Configurations to run first, in order."""
    guards: GuardConfig = field(default_factory=GuardConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    """Only `adaptive` matters within one study."""
    warm_start: str | None = None
    timeout_seconds: float | None = None

    def identity(self) -> dict[str, Any]:
        """Return what identifies the study: space, fixed values, environment, epochs, score."""
        return {
            "space": self.space.identity(),
            "fixed": dict(self.fixed),
            "environment": dict(self.environment),
            "epochs": self.epochs,
            "scoring": self.scoring.identity(),
        }
