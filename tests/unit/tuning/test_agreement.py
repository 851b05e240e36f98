"""Rank correlation between short and long training."""

from __future__ import annotations

import pytest

from seqtune.core.trials import State, Trial
from seqtune.tuning.analysis.rank_correlation import (
    best_until,
    estimated_rank_correlation,
    rank_correlation,
    spearman,
)


def curves(*pairs: tuple[float, float], state: State = "complete") -> list[Trial]:
    """Trials with a value at epoch 8 and one at epoch 20."""
    return [
        Trial(i, state, {}, score=late, curve={8: early, 20: late})
        for i, (early, late) in enumerate(pairs)
    ]


def test_spearman_by_hand() -> None:
    assert spearman([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2], [1, 1, 2]) == pytest.approx(1)  # ties share their mean rank
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_curves_that_cross_lower_it() -> None:
    alike = rank_correlation(curves(*((i, i + 10) for i in range(10))), at_epoch=8, mode="max")
    turned = rank_correlation(curves(*((i, 30 - i) for i in range(10))), at_epoch=8, mode="max")

    assert alike.value == pytest.approx(1)
    assert turned.value == pytest.approx(-1)
    assert alike.note == "1.00 between epochs 8 and 20, over 10 configurations"
    assert not alike.is_estimate


def test_both_sides_are_the_best_so_far() -> None:
    trial = Trial(0, "complete", {}, curve={1: 0.5, 2: 0.7, 3: 0.6})

    assert (best_until(trial, 3, "max"), best_until(trial, 3, "min")) == (0.7, 0.5)


def test_pruned_trials_and_too_few_leave_it_unknown() -> None:
    few = rank_correlation(curves(*((i, i) for i in range(7))), at_epoch=8, mode="max")
    pruned = curves(*((i, i) for i in range(20)), state="pruned")

    assert (few.value, few.num_configurations) == (None, 7)
    assert "7 configurations with scores at epochs 8 and 20, 8 with" in few.note
    assert rank_correlation(pruned, at_epoch=8, mode="max").value is None


def test_before_the_long_stage_it_is_estimated_at_the_same_ratio() -> None:
    trials = curves(*((i, i + 10) for i in range(10)))
    found = estimated_rank_correlation(trials, short_epochs=20, long_epochs=50, mode="max")

    assert (found.short_epochs, found.long_epochs, found.is_estimate) == (8, 20, True)
    assert found.value == pytest.approx(1)
    assert found.note.startswith("estimated for 20 against 50 epochs from the short stage's own")


def test_a_long_budget_that_is_no_longer_ranks_alike() -> None:
    assert estimated_rank_correlation([], short_epochs=20, long_epochs=20, mode="max").value == 1.0
