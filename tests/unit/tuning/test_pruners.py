"""Pruners on curves written down by hand, and beside Optuna's own where it has the same."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from seqtune.tuning.config import PrunerConfig
from seqtune.tuning.sampling.pruners import Pruner
from seqtune.tuning.sampling.pruners.pareto import front_numbers
from seqtune.tuning.sampling.registry import PARETO, PRUNERS
from seqtune.tuning.studies.records import GOALS, ROOT

KINDS = PRUNERS.allowed()


def pruner(kind: str, *, epochs: int = 20, mode: Any = "max", **changes: Any) -> Pruner:
    quiet = {"startup_trials": 0, "warmup_epochs": 0, "warmup_share": 0.0, **changes}
    return Pruner(PrunerConfig(kind=kind, **quiet), epochs=epochs, mode=mode)


def others(
    *curves: Mapping[int, float], state: TrialState = TrialState.COMPLETE
) -> list[FrozenTrial]:
    trials = []
    for number, curve in enumerate(curves):
        value = curve[max(curve)] if state is not TrialState.FAIL else None
        trial = create_trial(state=state, value=value, intermediate_values=dict(curve))
        trial.number = number
        trials.append(trial)
    return trials


def flat(value: float, *, epochs: int = 20) -> dict[int, float]:
    return dict.fromkeys(range(1, epochs + 1), value)


def first_pruned(one: Pruner, curve: Mapping[int, float], rivals: Sequence[FrozenTrial]) -> int:
    """The epoch at which a trial with this curve is stopped; 0: it never is."""
    for epoch in sorted(curve):
        seen = {at: value for at, value in curve.items() if at <= epoch}
        if one.reason(seen, rivals, root=50):
            return epoch
    return 0


# ---- all kinds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_trial_is_pruned_in_the_warm_up(kind: str) -> None:
    rng = random.Random(1)  # noqa: S311 - a toy
    for _ in range(30):
        epochs, warmup = rng.randint(2, 40), rng.randint(0, 10)
        share = rng.choice([0.0, 0.1, 0.5])
        one = pruner(
            kind,
            epochs=epochs,
            warmup_epochs=warmup,
            warmup_share=share,
            patience=1,
            p_threshold=0.99,
        )
        rivals = others(*(flat(rng.random(), epochs=epochs) for _ in range(8)))
        worst = {epoch: -float(epoch) for epoch in range(1, epochs + 1)}
        stopped = first_pruned(one, worst, rivals)
        assert stopped == 0 or stopped > max(warmup, math.ceil(share * epochs))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"none", PARETO}))
def test_a_hopeless_trial_is_stopped_and_one_ahead_of_all_is_not(kind: str) -> None:
    for mode, sign in (("max", 1.0), ("min", -1.0)):
        one = pruner(kind, mode=mode)
        rivals = others(*(flat(sign * value) for value in (1.0, 2.0, 3.0)))
        falling = {epoch: sign * -float(epoch) for epoch in range(1, 21)}
        rising = {epoch: sign * (4.0 + epoch) for epoch in range(1, 21)}
        assert first_pruned(one, falling, rivals) > 0
        assert first_pruned(one, rising, rivals) == 0


def test_none_stops_nothing() -> None:
    assert first_pruned(pruner("none"), flat(-9.0), others(flat(1.0))) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_epoch_is_never_pruned_for_nothing_is_left_to_save(kind: str) -> None:
    one = pruner(kind, epochs=6, warmup_epochs=5)
    assert first_pruned(one, flat(-9.0, epochs=6), others(flat(1.0))) == 0


@pytest.mark.parametrize("kind", ["median", "percentile", "wilcoxon"])
def test_nothing_is_compared_before_the_startup_trials_are_complete(kind: str) -> None:
    one = pruner(kind, startup_trials=3)
    assert first_pruned(one, flat(-9.0), others(flat(1.0), flat(2.0))) == 0
    assert first_pruned(one, flat(-9.0), others(flat(1.0), flat(2.0), flat(3.0))) > 0


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"none", "wilcoxon", PARETO}))
def test_a_curve_without_a_number_is_stopped(kind: str) -> None:
    reason = pruner(kind).reason({1: math.nan}, others(flat(1.0)), root=50)
    assert reason in ("", "epoch 1: no epoch gave a number")
    assert reason or kind == "hyperband"  # 50 may be of a bracket that begins later


# ---- median and percentile ----------------------------------------------------------------------


def test_the_reason_gives_epoch_value_and_bar() -> None:
    rivals = others(flat(0.1), flat(0.4), flat(0.5))
    reason = pruner("median").reason({6: 0.2, 7: 0.28}, rivals, root=9)
    assert reason == "epoch 7: 0.28, 0.12 behind the median of 3 trials of 0.4"


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("kind", ["median", "percentile"])
def test_decides_as_optuna_does(kind: str, mode: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = random.Random(3)  # noqa: S311 - a toy
    direction = "maximize" if mode == "max" else "minimize"
    num_pruned = 0
    for _ in range(200):
        warmup, interval = rng.randint(0, 4), rng.randint(1, 3)
        options = {"n_startup_trials": 2, "n_warmup_steps": warmup + 1, "interval_steps": interval}
        theirs: optuna.pruners.BasePruner = (
            optuna.pruners.MedianPruner(**options)
            if kind == "median"
            else optuna.pruners.PercentilePruner(25.0, **options)
        )
        ours = pruner(kind, mode=mode, startup_trials=2, warmup_epochs=warmup, interval=interval)
        study = optuna.create_study(direction=direction)
        for _ in range(rng.randint(0, 6)):
            epochs = range(1, rng.randint(2, 12))
            curve = {epoch: rng.random() for epoch in epochs}
            study.add_trial(create_trial(value=0.5, intermediate_values=curve))
        epochs = sorted(rng.sample(range(1, 12), k=rng.randint(1, 8)))
        trial = create_trial(
            state=TrialState.RUNNING, intermediate_values={epoch: rng.random() for epoch in epochs}
        )
        expected = theirs.prune(study, trial)
        num_pruned += expected
        assert bool(ours.reason(trial.intermediate_values, study.trials, root=99)) == expected
    assert num_pruned > 5


# ---- halving ------------------------------------------------------------------------------------


def test_halving_judges_once_at_each_rung() -> None:
    one = pruner("halving", epochs=30, warmup_epochs=1, reduction_factor=3)
    rivals = others(flat(1.0, epochs=30), flat(2.0, epochs=30), flat(3.0, epochs=30))
    judged = [
        epoch
        for epoch in range(1, 31)
        if one.reason(dict.fromkeys(range(1, epoch + 1), 0.0), rivals, root=9)
    ]
    assert judged == [2, 6, 18]


def test_halving_keeps_the_best_third_of_those_that_came_so_far() -> None:
    one = pruner("halving", epochs=30, warmup_epochs=2)
    rivals = others(*(flat(float(value), epochs=3) for value in range(8)))
    assert one.reason({3: 4.5}, rivals, root=9) == (
        "epoch 3: 4.5, 0.5 behind the best 1 of 3 at epoch 3 of 5"
    )
    assert one.reason({3: 6.0}, rivals, root=9) == ""


def test_a_lost_trial_does_not_compete_beside_its_second_run() -> None:
    one = pruner("halving", epochs=30)
    lost = others(*(flat(9.0) for _ in range(5)), state=TrialState.FAIL)
    assert one.reason({1: 1.0}, lost, root=9) == ""


def test_rungs_between_validations_are_judged_at_the_next_one() -> None:
    one = pruner("halving", epochs=30, warmup_epochs=1)
    rivals = others({4: 1.0}, {4: 2.0}, {4: 3.0})
    assert one.reason({4: 0.0}, rivals, root=9)


def test_a_second_run_stays_in_the_bracket_of_the_first() -> None:
    one = pruner("hyperband", epochs=27)
    rivals = others(*(flat(float(value)) for value in range(60)))
    for rival in rivals:
        rival.user_attrs[ROOT] = rival.number
        rival.number += 100
    stopped = {root: first_stop(one, rivals, root) for root in range(40)}
    assert set(stopped.values()) == {1, 3, 9, 0}
    counts = [list(stopped.values()).count(rung) for rung in (1, 3, 9)]
    assert counts == sorted(counts, reverse=True)


def first_stop(one: Pruner, rivals: Sequence[FrozenTrial], root: int) -> int:
    for epoch in range(1, 28):
        if one.reason(dict.fromkeys(range(1, epoch + 1), -1.0), rivals, root=root):
            return epoch
    return 0


# ---- wilcoxon and patience ----------------------------------------------------------------------


def test_wilcoxon_stops_what_lies_below_the_best_all_along() -> None:
    one = pruner("wilcoxon", p_threshold=0.1)
    best = {epoch: 0.1 * epoch for epoch in range(1, 21)}
    rivals = others(flat(-1.0), best)
    below = {epoch: 0.1 * epoch - 0.05 for epoch in range(1, 21)}
    crossing = {epoch: 0.1 * epoch + (-0.05) ** (epoch % 2) for epoch in range(1, 21)}
    assert first_pruned(one, below, rivals) == 4  # p = 1/16
    assert first_pruned(one, crossing, rivals) == 0
    assert "worse than the best trial (1) in 4 epochs" in one.reason(
        {epoch: below[epoch] for epoch in range(1, 5)}, rivals, root=9
    )


def test_wilcoxon_without_curves_to_compare_with_stops_nothing() -> None:
    bare = create_trial(value=9.0)
    assert first_pruned(pruner("wilcoxon"), flat(0.0), [bare]) == 0


def test_patience_counts_epochs_since_the_best() -> None:
    one = pruner("patience", patience=3)
    curve = {1: 0.1, 2: 0.5, 3: 0.4, 4: 0.5, 5: 0.3, 6: 0.2}
    assert first_pruned(one, curve, []) == 5
    assert one.reason({1: 0.1, 2: 0.5, 5: 0.4}, [], root=9) == (
        "epoch 5: no improvement for 3 epochs (best 0.5 at epoch 2)"
    )


# ---- several goals ------------------------------------------------------------------------------


def test_fronts_by_hand() -> None:
    points = [(1, 5), (2, 4), (1, 4), (2, 4), (0, 0), (5, 1), (1, 1)]
    assert front_numbers(points) == [1, 1, 2, 1, 4, 1, 3]


def with_goals(*points: tuple[float, float], epoch: int = 3) -> list[FrozenTrial]:
    return [
        create_trial(values=list(point), user_attrs={GOALS: {str(epoch): point}})
        for point in points
    ]


def reason(goals: tuple[float, ...], rivals: Sequence[FrozenTrial], **changes: Any) -> str:
    curve = dict.fromkeys((1, 2, 3), 0.5)
    return pruner(PARETO, **changes).reason(curve, rivals, root=9, goals=goals)


FRONTS = with_goals((3.0, -1.0), (2.0, -0.5), (2.0, -1.5), (0.5, -3.0))
"""Two on the first front, one on the second, one behind."""


def test_several_goals_stop_what_most_trials_are_ahead_of() -> None:
    text = "epoch 3: on Pareto front 4, behind 4 of 4 trials on better ones"
    assert reason((0.1, -4.0), FRONTS) == text
    assert reason((1.0, -2.0), FRONTS) == (
        "epoch 3: on Pareto front 3, behind 3 of 4 trials on better ones"
    )
    assert reason((2.0, -1.4), FRONTS) == ""  # behind half of them
    assert reason((0.0, 0.0), FRONTS) == ""  # the smallest of all


def test_fronts_are_compared_at_the_same_epoch_and_after_the_start_up_only() -> None:
    worst = (0.0, -9.0)
    assert reason(worst, with_goals((3.0, -1.0), epoch=2)) == ""
    assert reason(worst, FRONTS, startup_trials=5) == ""
    assert reason(worst, FRONTS, startup_trials=4)
    assert reason((), FRONTS) == ""  # a goal was not measured in this epoch
