"""The score of a trial, which the search optimizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from seqtune.core.errors import ConfigurationError, TrainingError

from ..config import GapPenalty, Goal

Mode = Literal["max", "min"]
Metrics = Mapping[str, float]
BY_EPOCH = ("val_", "train_")
"""Prefixes of metrics logged by validation; most others are known when a trial is over."""
BEFORE = (
    "estimated_memory_mib",
    "model_mib",
    "num_parameters",
    "peak_memory_mib",
    "inference_ms_per_row",
)
"""Measured before training."""


class Score(NamedTuple):
    """The score of one trial."""

    score: float
    """The first of `values`."""
    values: tuple[float, ...]
    """One for each goal, less the penalty; (score,) for a single one."""
    penalty: float
    """Subtracted for overfitting, at least 0."""


def known_at_the_end(goals: Sequence[Goal]) -> bool:
    """Whether the metric to stop trials by is unknown while they run."""
    return bool(goals) and not goals[0].metric.startswith(BY_EPOCH)


def known_in_every_epoch(goals: Sequence[Goal]) -> bool:
    """Whether trials can be compared in all goals while they run."""
    return all(goal.metric.startswith(BY_EPOCH) or goal.metric in BEFORE for goal in goals)


@dataclass(frozen=True)
class Scoring:
    """Computes scores from metrics: the goals in order, of which the first stops trials.

    Without goals, the monitored metric, to which the gap penalty applies.
    """

    metric: str
    mode: Mode
    gap: GapPenalty = field(default_factory=GapPenalty)
    goals: tuple[Goal, ...] = ()

    def __post_init__(self) -> None:
        faults = [*self._goal_faults(), *self._gap_faults()]
        if faults:
            raise ConfigurationError(faults)

    def _goal_faults(self) -> list[str]:
        names = [goal.metric for goal in self.goals]
        twice = sorted({name for name in names if names.count(name) > 1})
        faults = [f"objectives: {name!r} is given twice; leave one out" for name in twice]
        faults += [
            f"objectives: {goal.metric!r} has mode={goal.mode!r}, but training monitors it with "
            f"{self.mode!r}; write the same in both"
            for goal in self.goals
            if goal.metric == self.metric and goal.mode != self.mode
        ]
        return faults

    def _gap_faults(self) -> list[str]:
        if not self.gap.enabled:
            return []
        faults = []
        if self.goals and self.metric not in [goal.metric for goal in self.goals]:
            faults.append(
                f"gap_penalty has no effect: {self.metric!r} is not among the objectives; add it "
                "there, or set gap_penalty.enabled to false"
            )
        if self.gap.metric is None and not self.metric.startswith("val_"):
            faults.append(
                f"gap_penalty.metric is not set and does not follow from {self.metric!r}, which "
                "does not begin with 'val_'; name the train-side metric"
            )
        return faults

    @property
    def gap_metric(self) -> str:
        """The train-side metric of the gap penalty."""
        return self.gap.metric or f"train_{self.metric.removeprefix('val_')}"

    @property
    def all_goals(self) -> tuple[Goal, ...]:
        """The goals, or the monitored metric."""
        return self.goals or (Goal(metric=self.metric, mode=self.mode),)

    @property
    def first(self) -> Goal:
        """The goal of `Score.score`, whose mode ranks trials."""
        return self.all_goals[0]

    @property
    def is_multiple(self) -> bool:
        return len(self.goals) > 1

    @property
    def directions(self) -> tuple[Literal["maximize", "minimize"], ...]:
        """Optuna's directions, one for each value."""
        return tuple("maximize" if goal.mode == "max" else "minimize" for goal in self.all_goals)

    def score(self, metrics: Metrics) -> Score:
        """Score the metrics of the best epoch.

        A missing metric is a configuration error. A metric that is not finite fails the trial:
        Optuna would count infinity as complete.
        """
        penalty = self._penalty(metrics)
        values = []
        for goal in self.all_goals:
            value = _measured(metrics, goal.metric, setting="the objective")
            sign = 1.0 if goal.mode == "min" else -1.0
            values.append(value + sign * penalty if goal.metric == self.metric else value)
        return Score(values[0], tuple(values), penalty)

    def _penalty(self, metrics: Metrics) -> float:
        if not self.gap.enabled:
            return 0.0
        valid = _measured(metrics, self.metric, setting="the monitored metric")
        train = _measured(metrics, self.gap_metric, setting="gap_penalty.metric")
        gap = train - valid if self.mode == "max" else valid - train
        return self.gap.weight * gap if gap > self.gap.threshold else 0.0

    def reported(self, metrics: Metrics) -> float | None:
        """Return the value of one epoch that trials are stopped by; None if not measured.

        Without the gap penalty, because early in training there is no gap yet. If the goal is known
        only at the end, no trial is stopped early and the monitored metric is reported.
        """
        value = metrics.get(self.metric if known_at_the_end(self.goals) else self.first.metric)
        return None if value is None else float(value)

    def goals_so_far(
        self, metrics: Metrics, before: Sequence[float] = ()
    ) -> tuple[float, ...] | None:
        """Return all goals at the best epoch so far, turned so that more is better.

        `before` are those of the epochs before; the first goal decides. None if one is missing.
        """
        if any(goal.metric not in metrics for goal in self.all_goals):
            return None
        signs = (1.0 if goal.mode == "max" else -1.0 for goal in self.all_goals)
        pairs = zip(signs, self.all_goals, strict=True)
        now = tuple(sign * float(metrics[goal.metric]) for sign, goal in pairs)
        return now if not before or now[0] > before[0] else tuple(before)

    def identity(self) -> dict[str, Any]:
        """Return what makes scores comparable. Weights and bounds only affect the pick."""
        gap = {"metric": self.gap_metric, **self.gap.model_dump(include={"threshold", "weight"})}
        return {
            "goals": [{"metric": goal.metric, "mode": goal.mode} for goal in self.all_goals],
            "gap_penalty": gap if self.gap.enabled else None,
        }


def _measured(metrics: Metrics, name: str, *, setting: str) -> float:
    if name not in metrics:
        listed = ", ".join(sorted(metrics)) or "nothing"
        raise ConfigurationError(
            f"{setting} is {name!r}, which was not measured; measured: {listed}. Name one of these"
        )
    value = float(metrics[name])
    if not math.isfinite(value):
        raise TrainingError(f"{name} is {value}: not a number that a trial can be judged by")
    return value
