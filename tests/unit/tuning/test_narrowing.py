"""From quick trials to the medium space: the table, its margins, and when it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.core.trials import Params, Trial
from seqtune.tuning.analysis.importance import Importance
from seqtune.tuning.config import NarrowingConfig
from seqtune.tuning.narrowing.decisions import Decision, Narrowed
from seqtune.tuning.narrowing.narrow import narrow
from seqtune.tuning.spaces.space import Space, parse_space

SPACE = {
    "dropout": {"type": "float", "low": 0.1, "high": 0.3, "floor": 0.15},
    "width": {"type": "float", "low": 0.0, "high": 10.0},
    "lr": {"type": "float", "low": 1.0e-4, "high": 1.0e-1, "log": True, "group": "rate"},
    "layers": {"type": "int", "low": 1, "high": 40},
    "grid": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.1},
    "batch": {"type": "categorical", "choices": [64, 128, 256], "warn_above": 128},
}


def space_of(*keys: str, **changed: Any) -> Space:
    written = {key: SPACE[key] for key in keys} | changed
    return parse_space(written, root="toy")


def trials_of(*params: Params) -> list[Trial]:
    """Complete trials, the earlier the better."""
    return [
        Trial(number, "complete", values, score=1.0 - 0.01 * number)
        for number, values in enumerate(params)
    ]


def padded(key: str, top: Sequence[Any], rest: Sequence[Any], num: int = 30) -> list[Trial]:
    """`num` trials of which `top` are the best, in this order, and `rest` fill up in turn."""
    fill = [rest[i % len(rest)] for i in range(num - len(top))]
    return trials_of(*({key: value} for value in [*top, *fill]))


def run(
    trials: Sequence[Trial],
    space: Space,
    shares: Mapping[str, float],
    *,
    target: Space | None = None,
    policy: str = "guide",
    rank_correlation: float | None = 0.9,
    is_noise: bool = False,
    **config: Any,
) -> Narrowed:
    return narrow(
        trials,
        space=space,
        target=space if target is None else target,
        config=NarrowingConfig.model_validate({"policy": policy, **config}),
        importance=Importance(shares, num_trials=len(trials), is_noise=is_noise),
        mode="max",
        rank_correlation=rank_correlation,
    )


def decision(narrowed: Narrowed, key: str) -> Decision:
    return next(one for one in narrowed.decisions if one.key == key)


# ---- guide: the table of SPEC 4.3 ------------------------------------------------------------


def test_guide_keeps_important_ranges_with_a_tenth_on_each_side() -> None:
    trials = padded("width", [4.0, 5.0, 3.0, 4.5, 4.0, 5.0], [9.0])
    narrowed = run(trials, space_of("width"), {"width": 0.4})

    assert (narrowed.space["width"].low, narrowed.space["width"].high) == (2.7, 5.5)
    assert decision(narrowed, "width").action == "keep"
    assert decision(narrowed, "width").top["mean"] == pytest.approx(4.25)
    assert "importance 0.400 is above 0.1" in decision(narrowed, "width").reason


def test_guide_halves_and_stretches_important_log_ranges() -> None:
    trials = padded("lr", [0.01, 0.02, 0.004, 0.01, 0.01, 0.01], [0.09])
    lr = run(trials, space_of("lr"), {"lr": 0.4}).space["lr"]

    assert (lr.low, lr.high) == (0.002, 0.03)
    assert (lr.log, lr.group) == (True, "rate")


def test_guide_lifts_the_low_end_of_floored_ranges() -> None:
    trials = padded("dropout", [0.2, 0.25, 0.18, 0.2, 0.2, 0.2], [0.11])
    dropout = run(trials, space_of("dropout"), {"dropout": 0.4}).space["dropout"]

    assert (dropout.low, dropout.high) == (0.198, 0.25)


def test_guide_never_goes_below_the_floor_nor_out_of_the_quick_range() -> None:
    trials = padded("dropout", [0.11, 0.3, 0.2, 0.2, 0.2, 0.2], [0.11])
    narrowed = run(trials, space_of("dropout"), {"dropout": 0.07})

    dropout = narrowed.space["dropout"]
    assert (dropout.low, dropout.high) == (0.15, 0.3)
    assert decision(narrowed, "dropout").reason.endswith("clipped to quick range and floor")


def test_guide_fixes_at_the_floor_where_all_of_the_best_lie_under_it() -> None:
    trials = padded("dropout", [0.11, 0.12, 0.13, 0.1, 0.12, 0.12], [0.3])
    narrowed = run(trials, space_of("dropout"), {"dropout": 0.4})

    assert narrowed.space["dropout"].choices == (0.15,)
    assert decision(narrowed, "dropout").action == "fix"


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_guide_narrows_between_the_thresholds(share: float) -> None:
    trials = padded("width", [4.0, 5.0, 3.0, 4.5, 4.0, 5.0], [9.0])
    narrowed = run(trials, space_of("width"), {"width": share})

    assert (narrowed.space["width"].low, narrowed.space["width"].high) == (2.85, 5.25)
    assert decision(narrowed, "width").action == "narrow"


def test_guide_fixes_what_hardly_matters_at_the_best_trial() -> None:
    trials = padded("dropout", [0.12, 0.25, 0.18], [0.3])
    narrowed = run(trials, space_of("dropout"), {"dropout": 0.049})

    assert narrowed.space["dropout"].choices == (0.15,)
    reason = decision(narrowed, "dropout").reason
    assert "fixed at 0.15, the value of the best trial (0), which was 0.12" in reason


def test_guide_keeps_the_choices_that_the_best_have() -> None:
    trials = padded("batch", [64, 256, 64, 64, 64, 64], [128])
    narrowed = run(trials, space_of("batch"), {"batch": 0.2})

    assert narrowed.space["batch"].choices == (64, 256)
    assert narrowed.space["batch"].warn_above == 128
    assert decision(narrowed, "batch").top == {"choices": [64, 128, 256], "counts": [5, 0, 1]}
    assert decision(narrowed, "batch").reason.endswith("without 128")


def test_whole_numbers_and_grids_are_rounded_outwards() -> None:
    top = [{"layers": 11, "grid": 0.4}, {"layers": 23, "grid": 0.7}]
    trials = trials_of(*top, *({"layers": 40, "grid": 1.0} for _ in range(8)))
    space = run(trials, space_of("layers", "grid"), {"layers": 0.4, "grid": 0.4}).space

    assert (space["layers"].low, space["layers"].high) == (9, 26)  # 9.9 and 25.3
    assert isinstance(space["layers"].low, int)
    assert (space["grid"].low, space["grid"].high) == (0.3, 0.8)  # 0.36 and 0.77


def test_pruned_trials_count_towards_the_share_but_are_not_among_the_best() -> None:
    trials = padded("width", [4.0, 5.0], [9.0], num=5)
    pruned = [Trial(10 + i, "pruned", {"width": 0.1}, score=2.0) for i in range(5)]
    narrowed = run([*trials, *pruned], space_of("width"), {"width": 0.4})

    assert decision(narrowed, "width").top["num"] == 2  # a fifth of ten
    assert decision(narrowed, "width").top["values"] == [4.0, 5.0]


def test_lower_scores_win_where_less_is_better() -> None:
    trials = padded("width", [9.0, 9.0], [3.0, 4.0], num=10)
    narrowed = narrow(
        trials,
        space=space_of("width"),
        target=space_of("width"),
        config=NarrowingConfig(policy="guide"),
        importance=Importance({"width": 0.4}),
        mode="min",
        rank_correlation=None,
    )
    assert (narrowed.space["width"].low, narrowed.space["width"].high) == (2.7, 4.4)


# ---- safe ------------------------------------------------------------------------------------


def test_safe_leaves_a_margin_around_the_band() -> None:
    trials = padded("width", [4.0, 5.0, 3.0, 4.5, 4.0, 4.5], [9.0])
    narrowed = run(trials, space_of("width"), {"width": 0.07}, policy="safe", margin=0.25)

    assert (narrowed.space["width"].low, narrowed.space["width"].high) == (2.5, 5.5)
    assert "with a margin of 25% of that band" in decision(narrowed, "width").reason


def test_safe_takes_its_margin_on_the_logarithmic_scale() -> None:
    trials = padded("lr", [0.01, 0.1, 0.001, 0.01, 0.01, 0.01], [0.0002])
    lr = run(trials, space_of("lr"), {"lr": 0.4}, policy="safe", margin=0.5).space["lr"]

    assert (lr.low, lr.high) == (1e-4, 0.1)


@pytest.mark.parametrize("num", [10, 24])
def test_safe_keeps_the_quick_range_where_importance_is_noise(num: int) -> None:
    trials = padded("dropout", [0.2, 0.2], [0.11], num=num)
    narrowed = run(trials, space_of("dropout"), {"dropout": 0.01}, policy="safe")

    assert (narrowed.space["dropout"].low, narrowed.space["dropout"].high) == (0.15, 0.3)
    assert f"{num} finished trials had this parameter, 25 are" in narrowed.decisions[0].reason


def test_safe_fixes_only_what_25_trials_speak_of() -> None:
    trials = padded("width", [4.0, 5.0], [9.0], num=25)

    fixed = run(trials, space_of("width"), {"width": 0.01}, policy="safe")
    noisy = run(trials, space_of("width"), {"width": 0.01}, policy="safe", is_noise=True)

    assert fixed.space["width"].choices == (4.0,)
    assert noisy.space["width"] == space_of("width")["width"]


def test_safe_never_drops_a_choice_that_was_hardly_tried() -> None:
    trials = padded("batch", [64] * 6, [64] * 5 + [128] * 2, num=30)
    narrowed = run(trials, space_of("batch"), {"batch": 0.2}, policy="safe")

    assert narrowed.space["batch"].choices == (64, 256)  # 256 never, 128 often tried
    assert "tried fewer than 5 times (256)" in decision(narrowed, "batch").reason


def test_safe_opens_the_range_where_the_best_lies_at_an_end() -> None:
    trials = padded("width", [5.0, 4.0, 3.0, 4.5, 4.0, 4.5], [9.0])
    narrowed = run(trials, space_of("width"), {"width": 0.4}, policy="safe")

    assert (narrowed.space["width"].low, narrowed.space["width"].high) == (2.8, 10.0)
    assert decision(narrowed, "width").action == "widen"
    assert narrowed.notes == ()


def test_safe_recommends_a_wider_quick_range_where_its_bound_is_hit() -> None:
    trials = padded("width", [10.0, 9.0, 8.0, 9.0, 9.0, 9.0], [1.0])
    narrowed = run(trials, space_of("width"), {"width": 0.4}, policy="safe")

    (note,) = narrowed.notes
    assert note.startswith("width: the best value 10 lies at high=10 of the quick range; consider")


def test_safe_does_not_recommend_to_go_below_a_floor() -> None:
    trials = padded("dropout", [0.1, 0.2, 0.15, 0.2, 0.2, 0.2], [0.3])
    narrowed = run(trials, space_of("dropout"), {"dropout": 0.4}, policy="safe")

    assert narrowed.space["dropout"].low == 0.15
    assert not any("lower bound" in note for note in narrowed.notes)


@pytest.mark.parametrize(
    ("correlation", "told"),
    [
        (0.59, "0.59, below min_rank_correlation=0.6"),
        (0.5976, "0.5976, below min_rank_correlation=0.6"),
        (None, "it is unknown whether"),
    ],
)
def test_safe_refuses_where_short_training_ranks_otherwise(
    correlation: float | None, told: str
) -> None:
    target = space_of(width={"type": "float", "low": 2.0, "high": 3.0})
    trials = padded("width", [4.0, 5.0], [9.0])
    narrowed = run(
        trials, space_of("width"), {"width": 0.4}, target=target, policy="safe",
        rank_correlation=correlation,
    )  # fmt: skip

    assert told in narrowed.refused
    assert narrowed.space == target
    assert [one.action for one in narrowed.decisions] == ["untouched"]
    assert narrowed.queue == ({"width": 3.0},)  # 4, 5 and 9 all end there


# ---- quick and medium space ------------------------------------------------------------------


def test_policy_none_takes_the_medium_space_as_written() -> None:
    target = space_of(width={"type": "float", "low": 2.0, "high": 3.0})
    trials = padded("width", [2.5, 5.0], [9.0])
    narrowed = run(trials, space_of("width"), {"width": 0.4}, target=target, policy="none")

    assert (narrowed.space, narrowed.refused) == (target, "")
    assert narrowed.queue == ({"width": 2.5}, {"width": 3.0})


@pytest.mark.parametrize("policy", ["guide", "safe"])
def test_without_a_complete_trial_the_medium_space_stands(policy: str) -> None:
    narrowed = run([Trial(0, "failed", {"width": 1.0})], space_of("width"), {}, policy=policy)

    assert "no trial of the quick stage is complete" in narrowed.refused
    assert (narrowed.space, narrowed.queue) == (space_of("width"), ())


def test_a_single_medium_value_stays_and_disagreement_is_told() -> None:
    target = space_of(batch={"type": "categorical", "choices": [256]})
    trials = padded("batch", [64, 64, 64, 256, 64, 64], [128])
    narrowed = run(trials, space_of("batch"), {"batch": 0.4}, target=target)

    assert narrowed.space == target
    assert "256, and 1 of the top 6 trials have it: consider" in narrowed.decisions[0].reason
    assert narrowed.queue[0] == {"batch": 256}


def test_what_only_one_space_has_is_left_as_it_is_there() -> None:
    narrowed = run(
        trials_of(*({"width": 4.0 + 0.1 * i} for i in range(10))),
        space_of("width"),
        {"width": 0.4},
        target=space_of("lr"),
    )

    assert narrowed.space == space_of("lr")
    assert decision(narrowed, "lr").reason.startswith("the quick stage did not search it")
    assert decision(narrowed, "width").action == "drop"
    assert "the best quick trial had 4.0" in decision(narrowed, "width").reason


def test_the_medium_kind_wins_over_the_quick_one() -> None:
    target = space_of(width={"type": "float", "low": 1.0, "high": 3.0, "log": True})
    narrowed = run(padded("width", [2.0], [3.0]), space_of("width"), {"width": 1}, target=target)

    assert narrowed.space == target
    assert "a float, the medium space has a logarithmic float" in narrowed.decisions[0].reason


def test_a_quick_range_under_the_medium_floor_is_no_range() -> None:
    target = space_of(width={"type": "float", "low": 20.0, "high": 30.0, "floor": 20.0})
    narrowed = run(padded("width", [2.0], [3.0]), space_of("width"), {"width": 1}, target=target)

    assert narrowed.space == target
    assert "lies under the floor 20" in narrowed.decisions[0].reason


# ---- conditions ------------------------------------------------------------------------------

CONDITIONAL = {
    "scheduler": {"type": "categorical", "choices": ["cosine", "linear", "step"]},
    "gamma": {
        "type": "float",
        "low": 0.1,
        "high": 0.9,
        "when": {"scheduler": ["linear", "step"]},
    },
}


def scheduled(*names: str) -> list[Trial]:
    gammas = ({} if name == "cosine" else {"gamma": 0.5 + 0.01 * i} for i, name in enumerate(names))
    return trials_of(*({"scheduler": n, **g} for n, g in zip(names, gammas, strict=True)))


def test_a_child_counts_where_it_existed_and_loses_dead_conditions() -> None:
    trials = scheduled("step", "cosine", *["linear"] * 8)
    space = parse_space(CONDITIONAL, root="toy")
    narrowed = run(trials, space, {"scheduler": 0.5, "gamma": 0.5})

    assert narrowed.space["scheduler"].choices == ("cosine", "step")
    assert narrowed.space["gamma"].when == {"scheduler": ("step",)}
    assert decision(narrowed, "gamma").top["num"] == 2  # a fifth of nine


def test_a_child_whose_parent_is_gone_drops_out() -> None:
    trials = scheduled("cosine", "cosine", *["step"] * 8)
    space = parse_space(CONDITIONAL, root="toy")
    narrowed = run(trials, space, {"scheduler": 0.5, "gamma": 0.5})

    assert narrowed.space.keys == ("scheduler",)
    assert decision(narrowed, "gamma").action == "drop"
    assert decision(narrowed, "gamma").after == {}
    assert narrowed.queue == ({"scheduler": "cosine"},)


# ---- the queue, the table, YAML --------------------------------------------------------------


def test_the_best_configurations_are_moved_into_the_space_and_queued() -> None:
    space = space_of("width", "batch")
    params = [{"width": 1.23456789 * i, "batch": 64 if i != 1 else 256} for i in range(10)]
    narrowed = run(trials_of(*params), space, {"width": 0.01, "batch": 0.4}, queue_best=2)

    assert narrowed.queue == ({"batch": 64, "width": 0.0}, {"batch": 256, "width": 0.0})
    assert narrowed.notes == ("queued trial 1 in the narrowed space: width 1.235 -> 0",)


def test_the_table_and_the_dictionary_are_plain() -> None:
    trials = padded("width", [4.0, 5.0, 3.0, 4.5, 4.0, 4.5], [9.0])
    narrowed = run(trials, space_of("width"), {"width": 0.4}, policy="safe")

    assert json.loads(json.dumps(narrowed.as_dict())) == narrowed.as_dict()
    row = narrowed.decisions[0].row()
    assert (row["quick"], row["medium"]) == ("[0, 10]", "[2.8, 5.2]")
    assert row["top trials"] == "3 / 4.167 / 5"


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    num=st.integers(1, 60),
    policy=st.sampled_from(["guide", "safe", "none"]),
    shares=st.lists(st.floats(0.0, 0.3), min_size=8, max_size=8),
)
def test_whatever_comes_out_is_a_space_that_yaml_can_hold(
    seed: int, num: int, policy: str, shares: list[float]
) -> None:
    space = parse_space(SPACE | CONDITIONAL, root="toy")
    drawn = np.random.default_rng(seed).random((num, len(space.keys))).tolist()
    trials = trials_of(*map(space.from_unit, drawn))
    narrowed = run(trials, space, dict(zip(space.keys, shares, strict=True)), policy=policy)

    written = yaml.safe_load(yaml.safe_dump(narrowed.space.as_dict()))
    read = parse_space(written, root="toy", known_keys=set(space.keys))
    assert read.as_dict() == narrowed.space.as_dict()
    assert all(one.low < one.high for one in read.parameters if one.kind != "categorical")
    assert policy == "none" or all(
        one.low >= 0.15 for one in read.parameters if one.key == "dropout" and not one.choices
    )
    for params in narrowed.queue:
        narrowed.space.checked(params, root="queue")
