"""Scores, penalties, fronts and picks against values worked out by hand."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.core.errors import ConfigurationError, TrainingError, TuningError
from seqtune.core.trials import Trial
from seqtune.tuning.config import ForbiddenConfig, GapPenalty, Goal, PickConfig, TuningConfig
from seqtune.tuning.objectives.constraints import check_forbidden, forbidden_reason
from seqtune.tuning.objectives.pareto import check_objectives, pareto_front, pick
from seqtune.tuning.objectives.scoring import Score, Scoring, known_at_the_end

GAP = GapPenalty(enabled=True)
QUALITY = Goal(metric="val_ndcg", mode="max")
LATENCY = Goal(metric="ms", mode="min")
SIZE = Goal(metric="model_mib", mode="min")


def trial(number: int, *values: float, state: Any = "complete") -> Trial:
    score = values[0] if values else None
    return Trial(number=number, state=state, params={}, score=score, values=values)


def two_goals(**latency: Any) -> Scoring:
    return Scoring("val_ndcg", "max", goals=(QUALITY, LATENCY.model_copy(update=latency)))


# ---- score ---------------------------------------------------------------------------------------


def test_without_a_penalty_the_metric_is_the_score() -> None:
    scoring = Scoring("val_ndcg", "max")

    assert scoring.score({"val_ndcg": 0.4, "ms": 3.0}) == Score(0.4, (0.4,), 0.0)
    assert scoring.directions == ("maximize",)


@pytest.mark.parametrize(
    ("mode", "valid", "train", "score"),
    [
        ("max", 0.40, 0.50, 0.40 - 0.5 * 0.10),
        ("max", 0.40, 0.41, 0.40),
        ("max", 0.40, 0.30, 0.40),
        ("min", 0.50, 0.40, 0.50 + 0.5 * 0.10),
        ("min", 0.50, 0.60, 0.50),
    ],
)
def test_a_gap_above_the_threshold_costs_half_of_it(
    mode: Literal["max", "min"], valid: float, train: float, score: float
) -> None:
    judged = Scoring("val_x", mode, gap=GAP).score({"val_x": valid, "train_x": train})

    assert judged.score == pytest.approx(score)
    assert judged.values == (judged.score,)
    assert judged.penalty == pytest.approx(abs(score - valid))


def test_of_several_goals_only_the_monitored_one_is_penalised() -> None:
    scoring = Scoring("val_ndcg", "max", gap=GAP, goals=(LATENCY, QUALITY))

    judged = scoring.score({"val_ndcg": 0.4, "train_ndcg": 0.6, "ms": 7.0})

    assert judged == Score(7.0, (7.0, pytest.approx(0.3)), pytest.approx(0.1))
    assert scoring.directions == ("minimize", "maximize")
    assert scoring.is_multiple


def test_what_was_not_measured_is_told_with_what_was() -> None:
    measured = {"val_ndcg": 0.4, "val_loss": 1.0}

    with pytest.raises(ConfigurationError, match=r"the objective is 'val_hit', which was not measu"
                       r"red; measured: val_loss, val_ndcg\. Name one of these"):  # fmt: skip
        Scoring("val_hit", "max").score(measured)
    with pytest.raises(ConfigurationError, match=r"gap_penalty\.metric is 'train_ndcg', which"):
        Scoring("val_ndcg", "max", gap=GAP).score(measured)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_fails_the_trial(value: float) -> None:
    with pytest.raises(TrainingError, match=r"val_ndcg is (nan|inf|-inf): not a number that a"):
        Scoring("val_ndcg", "max").score({"val_ndcg": value})


def test_what_is_reported_is_the_first_goal_without_a_penalty() -> None:
    scoring = Scoring("val_ndcg", "max", gap=GAP)

    assert scoring.reported({"val_ndcg": 0.4, "train_ndcg": 0.9}) == 0.4
    assert scoring.reported({"val_loss": 1.0}) is None
    assert two_goals().reported({"ms": 3.0, "val_ndcg": 0.2}) == 0.2


def test_of_a_goal_known_at_the_end_epochs_tell_the_monitored_metric() -> None:
    at_the_end = Scoring("val_ndcg", "max", goals=(Goal(metric="decoded_ndcg", mode="max"),))
    assert known_at_the_end(at_the_end.goals)
    assert at_the_end.reported({"val_ndcg": 0.3}) == 0.3
    assert at_the_end.score({"val_ndcg": 0.3, "decoded_ndcg": 0.5}).score == 0.5
    assert not known_at_the_end((QUALITY, LATENCY))
    assert not known_at_the_end(())


def test_goals_and_penalty_that_contradict_training_are_refused_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Scoring("auc", "max", gap=GAP, goals=(LATENCY, LATENCY))

    assert caught.value.faults == (
        "objectives: 'ms' is given twice; leave one out",
        "gap_penalty has no effect: 'auc' is not among the objectives; add it there, or set "
        "gap_penalty.enabled to false",
        "gap_penalty.metric is not set and does not follow from 'auc', which does not begin with "
        "'val_'; name the train-side metric",
    )
    with pytest.raises(ConfigurationError, match="'val_ndcg' has mode='max', but training monitor"):
        Scoring("val_ndcg", "min", goals=(QUALITY,))


def test_only_what_changes_scores_makes_another_study() -> None:
    assert two_goals(weight=3.0, bound=5.0).identity() == two_goals().identity()
    assert Scoring("val_x", "max").identity() != Scoring("val_x", "max", gap=GAP).identity()
    off = GapPenalty(enabled=False, threshold=0.3)
    assert Scoring("val_x", "max").identity() == Scoring("val_x", "max", gap=off).identity()
    json.dumps(Scoring("val_x", "max", gap=GAP).identity())
    assert pickle.loads(pickle.dumps(two_goals())) == two_goals()


# ---- several goals -------------------------------------------------------------------------------

FRONT = [trial(0, 0.9, 100.0), trial(1, 0.8, 20.0), trial(2, 0.5, 10.0)]
REST = [trial(3, 0.7, 30.0), trial(4, 0.9, 120.0), trial(5, 0.99, 1.0, state="pruned"), trial(6)]


def test_the_front_is_what_nothing_beats() -> None:
    assert pareto_front([*FRONT, *REST], (QUALITY, LATENCY)) == FRONT


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_everything_off_the_front_is_beaten_by_one_on_it(points: list[tuple[int, int]]) -> None:
    trials = [trial(number, float(a), float(b)) for number, (a, b) in enumerate(points)]

    front = pareto_front(trials, (QUALITY, LATENCY))

    assert front
    for one in trials:
        beaten = any(
            other.values[0] >= one.values[0]
            and other.values[1] <= one.values[1]
            and other.values != one.values
            for other in front
        )
        assert beaten == (one not in front)


def test_of_a_single_goal_the_best_is_taken() -> None:
    trials = [trial(0, 0.3), trial(1, 0.5), trial(2, 0.5), trial(3, 0.9, state="pruned")]

    best = pick(trials, scoring=Scoring("val_x", "max"), pick=PickConfig())

    assert best.trial.number == 1
    assert best.reason == "best val_x of 3 complete trials: 0.5"
    assert pick(trials, scoring=Scoring("val_x", "min"), pick=PickConfig()).trial.number == 0


def test_weights_are_compared_over_the_width_of_the_front() -> None:
    # Over the front ndcg is 1, 0.75, 0 and latency 0, 8/9, 1 of what there is to win.
    even = pick([*FRONT, *REST], scoring=two_goals(), pick=PickConfig())
    skewed = pick(FRONT, scoring=two_goals(weight=0.1), pick=PickConfig())

    assert even.trial.number == 1
    assert even.reason == (
        "largest weighted mean (0.819 of 1; weights: val_ndcg 1, ms 1) of 3 on the Pareto front: "
        "val_ndcg=0.8, ms=20"
    )
    assert skewed.trial.number == 0


def test_a_knee_is_found_where_weights_only_find_an_end() -> None:
    inwards = [trial(0, 1.0, 100.0), trial(1, 0.45, 55.0), trial(2, 0.0, 0.0)]

    assert pick(inwards, scoring=two_goals(), pick=PickConfig(by="weights")).trial.number == 0
    knee = pick(inwards, scoring=two_goals(), pick=PickConfig(by="knee"))
    assert knee.trial.number == 1
    assert knee.reason.startswith("nearest to the best of every goal (distance 0.778) of 3 on the")


def test_bounds_take_the_best_first_goal_within_them() -> None:
    bounded = two_goals(bound=50.0)

    chosen = pick([*FRONT, *REST], scoring=bounded, pick=PickConfig(by="bounds"))

    assert chosen.trial.number == 1
    assert chosen.reason.startswith("best val_ndcg within every bound (ms <= 50) of 3 on the Par")


def test_without_a_trial_within_the_bounds_the_nearest_is_taken_and_told() -> None:
    chosen = pick(FRONT, scoring=two_goals(bound=5.0), pick=PickConfig(by="bounds"))

    assert chosen.trial.number == 2
    assert chosen.reason.startswith("no trial keeps every bound (ms <= 5): the one that breaks th")


def test_a_pick_that_cannot_be_made_is_refused() -> None:
    without_weight = [goal.model_copy(update={"weight": 0.0}) for goal in (QUALITY, LATENCY)]
    weightless = Scoring("val_ndcg", "max", goals=tuple(without_weight))

    with pytest.raises(ConfigurationError, match=r"pick\.by=bounds, but no objective has a bound"):
        pick(FRONT, scoring=two_goals(), pick=PickConfig(by="bounds"))
    with pytest.raises(ConfigurationError, match=r"pick\.by=weights, but every weight is 0"):
        pick(FRONT, scoring=weightless, pick=PickConfig())
    with pytest.raises(TuningError, match="none of 1 trials is complete"):
        pick([trial(0, state="failed")], scoring=two_goals(), pick=PickConfig())
    with pytest.raises(TuningError, match="none of 0 trials is complete"):
        pick([], scoring=Scoring("val_x", "max"), pick=PickConfig())


def test_a_goal_in_which_all_are_equal_decides_nothing() -> None:
    flat = [trial(0, 0.5, 7.0), trial(1, 0.5, 7.0)]

    for by in ("weights", "knee"):
        assert pick(flat, scoring=two_goals(), pick=PickConfig.model_validate({"by": by})).trial \
            is flat[0]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        ({}, []),
        (
            {"pick": {"by": "knee"}},
            ["tuning.pick.by=knee has no effect without several objectives"],
        ),
        (
            {"pick": {"by": "bounds"}, "objectives": [QUALITY, LATENCY]},
            ["tuning.pick.by=bounds, but no objective has a bound; give objectives.bound to one"],
        ),
        (
            {"objectives": [LATENCY, LATENCY], "gap_penalty": {"enabled": True}},
            [
                "tuning.objectives: 'ms' is given twice",
                "tuning.gap_penalty has no effect: 'val_ndc",
            ],
        ),
        ({"objectives": [LATENCY], "pruner": {"kind": "none"}}, []),
        (
            {
                "objectives": [LATENCY],
                "pruner": {"kind": "median"},
                "stages": {"medium": {"pruner": "hyperband"}},
            },
            [
                "tuning.pruner.kind=median has no effect: 'ms' is known when a trial is over",
                "tuning.stages.medium.pruner=hyperband has no effect",
            ],
        ),
        (
            {
                "objectives": [SIZE, QUALITY],
                "pruner": {"kind": "pareto"},
                "stages": {"quick": {"pruner": "median"}},
            },
            [
                "tuning.stages.quick.pruner=median has no effect: it compares one objective, and "
                "there are 2; set it to pareto or none",
            ],
        ),
        (
            {"objectives": [QUALITY, LATENCY], "pruner": {"kind": "pareto"}},
            ["tuning.pruner.kind=pareto has no effect: 'ms' is known when a trial is over"],
        ),
        (
            {"pruner": {"kind": "pareto"}},
            ["tuning.pruner.kind=pareto has no effect: it compares several objectives, and there"],
        ),
    ],
)
def test_objectives_are_checked_before_anything_runs(
    values: dict[str, Any], faults: list[str]
) -> None:
    config = TuningConfig.model_validate(values)

    found = check_objectives(config, metric="val_ndcg", mode="max", root="tuning")

    assert len(found) == len(faults)
    assert all(one.startswith(told) for one, told in zip(found, faults, strict=True))


# ---- forbidden combinations ----------------------------------------------------------------------


def rule(when: Mapping[str, Any], name: str = "slow") -> ForbiddenConfig:
    return ForbiddenConfig(name=name, when=dict(when))


@pytest.mark.parametrize(
    ("when", "is_forbidden"),
    [
        ({"beams": {"above": 5}, "tokens": {"above": 150}}, True),
        ({"beams": {"above": 8}}, False),
        ({"beams": {"above": 7, "below": 9}}, True),
        ({"beams": [4, 8]}, True),
        ({"beams": [4, 6]}, False),
        ({"beams": 8, "sample": True}, True),
        ({"sample": 1}, False),
        ({"sample": {"above": 0}}, False),
        ({"mode": "greedy"}, True),
        ({"absent": None}, False),
    ],
)
def test_a_rule_forbids_where_all_its_conditions_hold(
    when: dict[str, Any], is_forbidden: bool
) -> None:
    values = {"beams": 8, "tokens": 200, "sample": True, "mode": "greedy"}

    assert (forbidden_reason(values, [rule(when)]) is not None) == is_forbidden


def test_the_reason_names_the_rule_and_the_values() -> None:
    rules = [rule({"beams": 1}, "never"), rule({"beams": {"above": 5}, "mode": "greedy"})]

    assert forbidden_reason({"beams": 8, "mode": "greedy"}, rules) == (
        "forbidden by 'slow': beams=8, mode='greedy'"
    )


def test_faults_of_rules_are_collected() -> None:
    rules = [
        rule({"model.beam": 1, "model": {"beams": 1}}, "a"),
        rule({"model.beams": {"abov": 1}}, "b"),
        rule({"model.beams": {"above": "x", "below": True}}, "c"),
        rule({"model.beams": {"above": 5, "below": 2}}, "d"),
        rule({"model.beams": []}, "e"),
        rule({"model.beams": [[1]]}, "f"),
        rule({"model.beams": {}}, "g"),
        rule({}, "h"),
        rule({"model.beams": 1}, "h"),
    ]

    assert check_forbidden(rules, ["model.beams"], root="r") == [
        "r: 'h' is the name of several rules; give each its own",
        "r.a.when.model.beam is not a parameter; did you mean 'model.beams'?",
        "r.a.when.model is not a parameter; write its keys dotted, such as model.beams",
        "r.b.when.model.beams: 'abov' is not an operator; did you mean 'above'?",
        "r.c.when.model.beams: above='x' is not a finite number",
        "r.c.when.model.beams: below=True is not a finite number",
        "r.d.when.model.beams: nothing is above 5 and below 2 at once; swap them",
        "r.e.when.model.beams: an empty list never holds; name the values that are forbidden",
        "r.f.when.model.beams: [[1]] is not a list of single values",
        "r.g.when.model.beams: an empty condition has no effect; give above or below",
        "r.h.when is empty and would forbid everything; name a condition",
    ]
