"""Search in parts (`grouped`), and in ranges that move (`adaptive`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.trials import Params, Trial, ranked

from ..analysis.param_stats import Mode, bounds, from_scale, round_out, to_scale
from ..config import GroupConfig, StrategyConfig
from ..plan import StudyPlan
from ..spaces.space import Parameter, Space

ALL = "all"


@dataclass(frozen=True)
class AdaptiveDecision:
    """How the ranges changed after some trials, and why."""

    after: int
    """Number of finished trials at that time."""
    action: Literal["shrink", "widen"]
    best: float
    improvement: float
    """Improvement of the best over the last window."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The new range of every numeric parameter."""
    reason: str = ""


def adaptive_space(
    space: Space, trials: Sequence[Trial], strategy: StrategyConfig, mode: Mode
) -> Space:
    """Return the space for the next trial, a function of the finished trials."""
    decisions = adaptive_decisions(space, trials, strategy, mode)
    return _with_ranges(space, decisions[-1].ranges) if decisions else space


def adaptive_decisions(
    space: Space, trials: Sequence[Trial], strategy: StrategyConfig, mode: Mode
) -> list[AdaptiveDecision]:
    """Decide after each window of finished trials, from the second window on.

    If the best improved by less than `min_improvement`, ranges shrink around it; otherwise they
    widen, within the space and above the floors. Choices stay: Optuna does not allow others.
    """
    finished = [one for one in sorted(trials, key=lambda one: one.number) if one.is_finished]
    window = strategy.window
    ranges = {one.key: bounds(one) for one in space.parameters if one.is_range}
    decisions: list[AdaptiveDecision] = []
    for after in range(2 * window, len(finished) + 1, window):
        before = ranked(finished[: after - window], mode=mode)
        best = ranked(finished[:after], mode=mode)
        if not before or before[0].score is None or best[0].score is None:
            continue
        improvement = abs(best[0].score - before[0].score)
        action: Literal["shrink", "widen"] = (
            "shrink" if improvement < strategy.min_improvement else "widen"
        )
        factor = strategy.shrink if action == "shrink" else strategy.widen
        ranges = dict(_moved(space, ranges, best[0].params, factor))
        reason = _reason(action, improvement, factor, best[0], strategy)
        decisions.append(
            AdaptiveDecision(after, action, best[0].score, improvement, ranges, reason)
        )
    return decisions


def _reason(
    action: str, improvement: float, factor: float, best: Trial, strategy: StrategyConfig
) -> str:
    compared = "less than" if action == "shrink" else "at least"
    done = f"shrink around trial {best.number}" if action == "shrink" else "widen"
    return (
        f"the best improved by {improvement:.3g} in {strategy.window} trials, {compared} "
        f"min_improvement={strategy.min_improvement:g}: ranges {done} by {factor:g}"
    )


def _moved(
    space: Space, ranges: Mapping[str, tuple[float, float]], best: Params, factor: float
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Scale each range by the factor; keep it if the best trial has no value."""
    for parameter in (one for one in space.parameters if one.is_range):
        value = best.get(parameter.key)
        if not isinstance(value, int | float):
            yield parameter.key, ranges[parameter.key]
            continue
        low, high = (to_scale(end, parameter) for end in ranges[parameter.key])
        center = to_scale(float(value), parameter)
        if factor < 1:
            half = (high - low) * factor / 2
            ends = center - half, center + half
        else:  # not around the best: near an end the range could never grow back
            more = (high - low) * (factor - 1) / 2
            ends = low - more, high + more
        around = min(ends[0], center), max(ends[1], center)
        smallest, largest = bounds(parameter)
        inside = [min(max(from_scale(end, parameter), smallest), largest) for end in around]
        yield parameter.key, round_out(inside[0], inside[1], parameter)


def _with_ranges(space: Space, ranges: Mapping[str, tuple[float, float]]) -> Space:
    def moved(one: Parameter) -> Parameter:
        if one.key not in ranges:
            return one
        low, high = ranges[one.key]
        number = int if one.kind == "int" else float
        return replace(one, low=number(low), high=number(high))

    return Space(tuple(moved(one) for one in space.parameters))


class Part(NamedTuple):
    """One part of a grouped search."""

    name: str
    keys: tuple[str, ...]
    trials: int


def group_parts(plan: StudyPlan) -> tuple[Part, ...]:
    """Return the parts of the plan's strategy in order, or the one of `only_group`.

    `all` is every parameter; without it, a parameter that has no group is a fault.
    """
    only = plan.strategy.only_group
    chosen = [one for one in plan.strategy.groups if only in (None, one.name)]
    faults = [*_unknown_groups(plan.space, chosen), *_never_searched(plan.space, plan.strategy)]
    if faults:
        raise ConfigurationError(faults)
    return tuple(
        Part(group.name, plan.space.of_groups([group.name]).keys, group.trials) for group in chosen
    )


def part_plan(plan: StudyPlan, part: Part, best: Params) -> StudyPlan:
    """Plan the study of one part.

    Other parameters are fixed to the best values so far. A condition on a parameter without a
    value yet adds that parameter to the part. `all` begins with the best configuration.
    """
    keys = _with_parents(plan.space, part.keys, best)
    others = {key: value for key, value in best.items() if key not in keys}
    space = plan.space.given({k: v for k, v in others.items() if k in plan.space.keys})
    space = space.without([key for key in space.keys if key not in keys])
    queue = [best, *plan.queue] if part.name == ALL else list(plan.queue)
    return replace(
        plan,
        stage=f"{plan.stage}.{part.name}",
        space=space,
        total=part.trials,
        fixed={**plan.fixed, **others},
        queue=tuple(_restricted(queue, space)),
    )


def _unknown_groups(space: Space, groups: Sequence[GroupConfig]) -> list[str]:
    known = [*space.groups, ALL]
    return [
        f"strategy.groups: no parameter of the space belongs to {group.name!r}; "
        f"{did_you_mean(group.name, known)}"
        for group in groups
        if group.name not in known
    ]


def _never_searched(space: Space, strategy: StrategyConfig) -> list[str]:
    names = {group.name for group in strategy.groups}
    left = [one.key for one in space.parameters if one.group not in names]
    if not left or ALL in names or strategy.only_group is not None:
        return []
    return [
        f"strategy.groups: {', '.join(left)} would never be searched; name their group, or add "
        f"{{name: {ALL}, trials: ...}}"
    ]


def _with_parents(space: Space, keys: Sequence[str], best: Params) -> set[str]:
    """Add the parameters that these depend on and that have no value yet."""
    wanted = set(keys)
    for parameter in reversed(space.parameters):  # children before their parents
        if parameter.key in wanted:
            wanted |= {parent for parent in parameter.when if parent not in best}
    return wanted


def _restricted(queue: Sequence[Params], space: Space) -> Iterator[Params]:
    """Restrict each queued configuration to what this part searches; each once."""
    seen: list[Params] = []
    for params in queue:
        active = [one for one in space.active(params) if one.key in params]
        own = {one.key: params[one.key] for one in active if one.contains(params[one.key])}
        if own and own not in seen:
            seen.append(own)
            yield own
