"""Several objectives: check them, find the Pareto front, pick one trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from seqtune.core.errors import ConfigurationError, TuningError
from seqtune.core.trials import Trial, ranked

from ..config import Goal, PickConfig, TuningConfig
from ..sampling.registry import PARETO
from .scoring import Mode, Scoring, known_at_the_end, known_in_every_epoch


class Pick(NamedTuple):
    """The chosen trial and the reason."""

    trial: Trial
    reason: str


def check_objectives(config: TuningConfig, *, metric: str, mode: Mode, root: str) -> list[str]:
    """List the faults of objectives, gap penalty and pick, before anything runs.

    `metric` and `mode` are what training monitors.
    """
    faults = [*_pick_faults(config.pick, config.objectives), *_pruner_faults(config)]
    try:
        Scoring(metric, mode, gap=config.gap_penalty, goals=config.objectives)
    except ConfigurationError as error:
        faults += error.faults
    return [f"{root}.{fault}" for fault in faults]


def _pick_faults(pick: PickConfig, goals: Sequence[Goal]) -> list[str]:
    if len(goals) < 2:
        if pick.by == "weights":
            return []
        return [
            f"pick.by={pick.by} has no effect without several objectives; add some, or set it to "
            "weights"
        ]
    if pick.by == "weights" and not any(goal.weight for goal in goals):
        return ["pick.by=weights, but every weight is 0; give objectives.weight above 0"]
    if pick.by == "bounds" and all(goal.bound is None for goal in goals):
        return ["pick.by=bounds, but no objective has a bound; give objectives.bound to one"]
    return []


def _pruner_faults(config: TuningConfig) -> list[str]:
    """Refuse a pruner that would never get a value, or compares another number of goals."""
    stages = {name: stage.pruner for name, stage in config.stages}
    given = {"pruner.kind": config.pruner.kind} | {
        f"stages.{name}.pruner": kind for name, kind in stages.items()
    }
    return [
        f"{key}={kind} has no effect: {why}"
        for key, kind in given.items()
        if kind not in (None, "none", "auto") and (why := _why_unused(kind, config.objectives))
    ]


def _why_unused(kind: str, goals: Sequence[Goal]) -> str:
    """Explain why a pruner would stop no trial; empty if it may."""
    late = [goal.metric for goal in goals if not known_in_every_epoch([goal])]
    if len(goals) == 1 and known_at_the_end(goals):
        late = [goals[0].metric]
    if late and (len(goals) == 1 or kind == PARETO):
        when = f"{late[0]!r} is known when a trial is over"
        return f"{when}, so none is stopped early; set it to none or auto"
    if len(goals) > 1 and kind != PARETO:
        return f"it compares one objective, and there are {len(goals)}; set it to {PARETO} or none"
    if len(goals) <= 1 and kind == PARETO:
        return "it compares several objectives, and there is one; set it to median, none or auto"
    return ""


def pareto_front(trials: Iterable[Trial], goals: Sequence[Goal]) -> list[Trial]:
    """Return the complete trials that no other one beats in every goal, in order."""
    done = [one for one in trials if one.state == "complete" and len(one.values) == len(goals)]
    points = [_upwards(one, goals) for one in done]
    return [
        trial
        for trial, point in zip(done, points, strict=True)
        if not any(_dominates(other, point) for other in points)
    ]


def pick(trials: Iterable[Trial], *, scoring: Scoring, pick: PickConfig) -> Pick:
    """Pick the best trial, or with several goals one of the Pareto front.

    weights: the largest weighted mean of the goals, each scaled to 0 .. 1 over the front. knee: the
    nearest to the best of every goal, on the same scale. bounds: the best in the first goal of
    those within every bound.
    """
    trials = list(trials)
    if not scoring.is_multiple:
        return _best(trials, scoring)
    if faults := _pick_faults(pick, scoring.goals):
        raise ConfigurationError(faults)
    front = pareto_front(trials, scoring.goals)
    if not front:
        raise _nothing_complete(trials)
    cost, explain = RULES[pick.by](front, scoring.goals)
    # between equals the better first goal, then the earlier trial
    best = min(front, key=lambda one: (cost(one), -_upwards(one, scoring.goals)[0], one.number))
    pairs = zip(scoring.goals, best.values, strict=True)
    values = ", ".join(f"{goal.metric}={value:.6g}" for goal, value in pairs)
    return Pick(best, f"{explain(best)} of {len(front)} on the Pareto front: {values}")


def _best(trials: list[Trial], scoring: Scoring) -> Pick:
    goal = scoring.first
    best = next(iter(ranked(trials, mode=goal.mode)), None)
    if best is None or best.score is None:
        raise _nothing_complete(trials)
    num_complete = sum(trial.state == "complete" for trial in trials)
    return Pick(best, f"best {goal.metric} of {num_complete} complete trials: {best.score:.6g}")


Rule = tuple[Callable[[Trial], float], Callable[[Trial], str]]
"""The cost of a trial, of which the least wins, and the reason of the winner."""


def _by_weights(front: list[Trial], goals: Sequence[Goal]) -> Rule:
    total = sum(goal.weight for goal in goals)
    scaled = _scaled(front, goals)

    def mean(trial: Trial) -> float:
        pairs = zip(goals, scaled[trial.number], strict=True)
        return sum(goal.weight * value for goal, value in pairs) / total

    weights = ", ".join(f"{goal.metric} {goal.weight:g}" for goal in goals)
    return (
        lambda one: -mean(one),
        lambda best: f"largest weighted mean ({mean(best):.3f} of 1; weights: {weights})",
    )


def _by_knee(front: list[Trial], goals: Sequence[Goal]) -> Rule:
    scaled = _scaled(front, goals)

    def distance(trial: Trial) -> float:
        return math.hypot(*(1.0 - value for value in scaled[trial.number]))

    return (
        distance,
        lambda best: f"nearest to the best of every goal (distance {distance(best):.3f})",
    )


def _by_bounds(front: list[Trial], goals: Sequence[Goal]) -> Rule:
    bounded = [goal for goal in goals if goal.bound is not None]
    span = _spans(front, goals)

    def excess(trial: Trial) -> float:
        """Sum by how much the bounds are broken, in widths of the front."""
        parts = zip(goals, trial.values, span, strict=True)
        return sum(_beyond(goal, value) / width for goal, value, width in parts)

    bounds = ", ".join(
        f"{goal.metric} {'>=' if goal.mode == 'max' else '<='} {goal.bound:g}" for goal in bounded
    )

    def explain(best: Trial) -> str:
        if excess(best) > 0:
            return f"no trial keeps every bound ({bounds}): the one that breaks them least"
        return f"best {goals[0].metric} within every bound ({bounds})"

    return excess, explain


RULES = {"weights": _by_weights, "knee": _by_knee, "bounds": _by_bounds}


def _beyond(goal: Goal, value: float) -> float:
    if goal.bound is None:
        return 0.0
    return max(0.0, goal.bound - value if goal.mode == "max" else value - goal.bound)


def _upwards(trial: Trial, goals: Sequence[Goal]) -> tuple[float, ...]:
    """Return the values with signs such that more is better."""
    pairs = zip(goals, trial.values, strict=True)
    return tuple(value if goal.mode == "max" else -value for goal, value in pairs)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def _spans(front: list[Trial], goals: Sequence[Goal]) -> list[float]:
    """Return the width of the front in each goal; 1 if it is 0."""
    columns = zip(*(_upwards(trial, goals) for trial in front), strict=True)
    return [max(column) - min(column) or 1.0 for column in columns]


def _scaled(front: list[Trial], goals: Sequence[Goal]) -> dict[int, tuple[float, ...]]:
    """Return by trial number each goal scaled to 0 (worst of the front) .. 1 (best)."""
    points = {trial.number: _upwards(trial, goals) for trial in front}
    best = [max(column) for column in zip(*points.values(), strict=True)]
    spans = _spans(front, goals)
    return {
        number: tuple(1.0 - (b - v) / s for v, b, s in zip(point, best, spans, strict=True))
        for number, point in points.items()
    }


def _nothing_complete(trials: Sequence[Trial]) -> TuningError:
    return TuningError(
        f"none of {len(trials)} trials is complete, so there is nothing to pick from; look at the "
        "reasons of the trials in the report"
    )
