"""Ranges that move with what was found, and searches in parts."""

from __future__ import annotations

from typing import Any

import pytest
from toy_studies import toy_plan

from seqtune.core.errors import ConfigurationError
from seqtune.core.trials import Trial
from seqtune.tuning.config import GroupConfig, StrategyConfig
from seqtune.tuning.plan import StudyPlan
from seqtune.tuning.sampling.strategies import (
    adaptive_decisions,
    adaptive_space,
    group_parts,
    part_plan,
)
from seqtune.tuning.spaces.space import parse_space

SPACE = parse_space(
    {
        "lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
        "drop": {"type": "float", "low": 0.0, "high": 0.5, "floor": 0.15},
        "depth": {"type": "int", "low": 2, "high": 32, "step": 2},
        "kind": {"type": "categorical", "choices": ["a", "b"]},
    },
    root="toy",
)
ADAPTIVE = StrategyConfig(kind="adaptive", window=2, min_improvement=0.1, shrink=0.5, widen=1.5)
BEST = {"lr": 0.01, "drop": 0.2, "depth": 16, "kind": "a"}


def trials(*scores: float, state: Any = "complete") -> list[Trial]:
    return [
        Trial(number=number, state=state, params=BEST, score=score, values=(score,))
        for number, score in enumerate(scores)
    ]


# ---- adaptive -----------------------------------------------------------------------------------


def test_nothing_moves_before_the_second_window_is_full() -> None:
    for number in range(4):
        found = trials(*[0.5] * number)
        assert adaptive_space(SPACE, found, ADAPTIVE, "max") == SPACE


def test_ranges_shrink_around_the_best_when_nothing_improves() -> None:
    space = adaptive_space(SPACE, trials(0.5, 0.4, 0.5, 0.3), ADAPTIVE, "max")
    assert (space["lr"].low, space["lr"].high) == pytest.approx((0.00316228, 0.0316228), rel=1e-3)
    assert (space["drop"].low, space["drop"].high) == (0.15, 0.2875)
    assert (space["depth"].low, space["depth"].high) == (8, 24)
    assert isinstance(space["depth"].low, int)
    assert space["kind"] == SPACE["kind"]


def test_ranges_widen_again_after_an_improvement_but_never_beyond_the_space() -> None:
    shrunk = trials(0.5, 0.4, 0.5, 0.3)
    space = adaptive_space(SPACE, [*shrunk, *trials(0, 0, 0, 0, 0.7, 0.1)[4:]], ADAPTIVE, "max")
    assert (space["depth"].low, space["depth"].high) == (4, 28)
    many = trials(*[0.5] * 4, *(0.5 + 0.2 * step for step in range(1, 13)))
    wide = adaptive_space(SPACE, many, ADAPTIVE, "max")
    for key in ("lr", "depth"):
        assert (wide[key].low, wide[key].high) == (SPACE[key].low, SPACE[key].high)
    assert (wide["drop"].low, wide["drop"].high) == (0.15, 0.5)


def test_shrinking_for_ever_leaves_the_best_inside() -> None:
    space = adaptive_space(SPACE, trials(*[0.5] * 80), ADAPTIVE, "max")
    for key in ("lr", "drop", "depth"):
        assert space[key].low <= float(str(BEST[key])) <= space[key].high


def test_decisions_come_with_their_reasons() -> None:
    found = trials(0.5, 0.4, 0.45, 0.35, 0.2, 0.1)
    first, second = adaptive_decisions(SPACE, found, ADAPTIVE, "min")
    assert (first.after, first.action, first.improvement) == (4, "shrink", pytest.approx(0.05))
    assert (second.after, second.action, second.best) == (6, "widen", 0.1)
    assert first.reason.endswith(
        "less than min_improvement=0.1: ranges shrink around trial 3 by 0.5"
    )
    assert second.reason == (
        "the best improved by 0.25 in 2 trials, at least min_improvement=0.1: ranges widen by 1.5"
    )
    assert set(second.ranges) == {"lr", "drop", "depth"}


def test_only_finished_trials_fill_a_window() -> None:
    found = [*trials(0.5, 0.5), *trials(0, 0, 0.5, 0.5, state="failed")[2:]]
    assert adaptive_decisions(SPACE, found, ADAPTIVE, "max") == []


# ---- grouped ------------------------------------------------------------------------------------

GROUPED = {
    "size": {"type": "int", "low": 1, "high": 9, "group": "model"},
    "scheduler": {"type": "categorical", "choices": ["none", "step"], "group": "rate"},
    "lr": {"type": "float", "low": 0.0, "high": 1.0, "group": "rate"},
    "gamma": {
        "type": "float",
        "low": 0.0,
        "high": 1.0,
        "group": "decay",
        "when": {"scheduler": ["step"]},
    },
    "other": {"type": "float", "low": 0.0, "high": 1.0},
}


def grouped(*names: str, **changes: Any) -> StudyPlan:
    groups = tuple(GroupConfig(name=name, trials=3 + i) for i, name in enumerate(names))
    strategy = StrategyConfig(kind="grouped", groups=groups, only_group=changes.pop("only", None))
    return toy_plan(GROUPED, strategy=strategy, **changes)


def test_parts_come_in_the_order_of_the_groups_with_their_own_trials() -> None:
    parts = group_parts(grouped("rate", "model", "all"))
    assert [(part.name, part.trials) for part in parts] == [("rate", 3), ("model", 4), ("all", 5)]
    assert parts[0].keys == ("lr", "scheduler")
    assert set(parts[2].keys) == set(GROUPED)


def test_one_group_can_be_run_alone() -> None:
    (part,) = group_parts(grouped("rate", "model", only="model"))
    assert (part.name, part.keys) == ("model", ("size",))


def test_a_group_without_parameters_and_parameters_without_a_part_are_faults() -> None:
    with pytest.raises(ConfigurationError) as raised:
        group_parts(grouped("rates", "model"))
    assert raised.value.faults == (
        "strategy.groups: no parameter of the space belongs to 'rates'; did you mean 'rate'?",
        "strategy.groups: lr, other, scheduler, gamma would never be searched; name their group, "
        "or add {name: all, trials: ...}",
    )


def test_a_part_searches_its_own_parameters_and_fixes_the_others_to_the_best() -> None:
    plan = grouped("rate", "model", "all", fixed={"model.layers": 2}, queue=({"lr": 0.5},))
    rate, model, everything = group_parts(plan)
    first = part_plan(plan, rate, {})
    assert (first.stage, first.total) == ("quick.rate", 3)
    assert first.space.keys == ("lr", "scheduler")
    assert first.fixed == {"model.layers": 2}
    assert first.queue == ({"lr": 0.5},)

    best = {"lr": 0.3, "scheduler": "step"}
    second = part_plan(plan, model, best)
    assert second.space.keys == ("size",)
    assert second.fixed == {"model.layers": 2, "lr": 0.3, "scheduler": "step"}
    assert second.queue == ()

    best = {**best, "size": 4}
    last = part_plan(plan, everything, best)
    assert last.space == plan.space
    assert last.fixed == {"model.layers": 2}
    assert last.queue == ({"size": 4, "lr": 0.3, "scheduler": "step"}, {"lr": 0.5})
    assert len({one.stage for one in (first, second, last)}) == 3


def test_a_condition_takes_its_parent_into_the_part_until_that_has_a_value() -> None:
    plan = grouped("decay", "rate", "all")
    decay = group_parts(plan)[0]
    assert set(part_plan(plan, decay, {}).space.keys) == {"gamma", "scheduler"}

    settled = part_plan(plan, decay, {"scheduler": "step"})
    assert settled.space.keys == ("gamma",)
    assert not settled.space["gamma"].when
    assert settled.fixed["scheduler"] == "step"


def test_what_cannot_exist_beside_the_best_values_is_not_searched() -> None:
    plan = grouped("decay", "all")
    decay = group_parts(plan)[0]
    assert part_plan(plan, decay, {"scheduler": "none"}).space.keys == ()


def test_the_queue_of_all_leaves_out_what_does_not_exist_beside_the_rest() -> None:
    plan = grouped("all")
    stale = {"scheduler": "none", "gamma": 0.5, "size": 3}
    (queued,) = part_plan(plan, group_parts(plan)[0], stale).queue
    assert queued == {"scheduler": "none", "size": 3}
