"""Intervals and p-values of the bootstrap, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seqtune.core.bootstrap import (
    FEWEST_ROWS,
    Floats,
    MeanInterval,
    holm,
    paired_tests,
    resampled,
    segment_intervals,
)


def test_two_rows_are_drawn_as_often_as_they_should_be() -> None:
    """Of two draws from two rows, 0, 1 or 2 are the second one: with 1/4, 1/2 and 1/4."""
    rows = np.array([[0.0, 1.0], [1.0, 1.0]])
    sums = resampled(2, lambda times: times @ rows, draws=20_000, seed=3)
    shares = [(sums[:, 0] == value).mean() for value in (0.0, 1.0, 2.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
    assert (sums[:, 1] == 2.0).all()


def test_a_constant_lead_is_certain_and_no_lead_is_none() -> None:
    rows = np.random.default_rng(0).random(50) / 2
    values = {"a": rows + 0.25, "b": rows, "c": rows.copy()}
    better, equal = paired_tests(values, [("a", "b"), ("b", "c")], seed=1, draws=999)
    assert (better.difference, better.low, better.high) == (0.25, 0.25, 0.25)
    assert better.p_value == 1 / 1000
    assert better.corrected == 2 / 1000
    assert better.is_clear
    assert (equal.difference, equal.p_value, equal.corrected) == (0.0, 1.0, 1.0)
    assert not equal.is_clear


def test_what_is_hard_for_both_cancels_out() -> None:
    generator = np.random.default_rng(0)
    hard = generator.random(400)
    values = {"a": hard + 0.02 + generator.normal(0, 0.01, 400), "b": hard}
    (paired,) = paired_tests(values, [("a", "b")], seed=1)
    alone = segment_intervals(values, [np.ones(400, bool)], seed=1)[0]["a"]
    assert paired.is_clear
    assert paired.high - paired.low < 0.003
    assert alone.low is not None
    assert alone.high is not None
    width = 2 * 1.96 * values["a"].std() / np.sqrt(400)
    assert alone.high - alone.low == pytest.approx(width, rel=0.15)


def test_noise_is_called_noise_about_as_often_as_promised() -> None:
    generator = np.random.default_rng(4)
    found = [
        paired_tests(
            {"a": generator.random(80), "b": generator.random(80)}, [("a", "b")], seed=i, draws=200
        )[0].p_value
        for i in range(200)
    ]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.04)


def test_holm_by_hand() -> None:
    # the smallest times 3, the next times 2, and none below the one before it
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_segments_by_hand() -> None:
    values = {"a": np.array([0.0, 0.5, 1.0, 1.0]), "b": np.array([1.0, 0.0, 0.0, 0.5])}
    halves = [np.array([True, True, False, False]), np.array([False, False, True, True])]
    first, second = segment_intervals(values, halves, seed=1, draws=100)
    assert first == {"a": MeanInterval(0.25, None, None), "b": MeanInterval(0.5, None, None)}
    assert second == {"a": MeanInterval(1.0, None, None), "b": MeanInterval(0.25, None, None)}


def test_a_segment_needs_some_rows_for_an_interval() -> None:
    values = {"a": np.linspace(0, 1, 40)}
    sizes = (FEWEST_ROWS - 1, FEWEST_ROWS)
    few, enough = segment_intervals(values, [np.arange(40) < size for size in sizes], seed=1)
    assert few["a"].low is None
    assert enough["a"].low is not None
    assert enough["a"].low < enough["a"].mean < enough["a"].high


def test_the_same_seed_gives_the_same_numbers_whatever_stands_beside() -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.random(500) for name in "abc"}
    (alone,) = paired_tests({name: values[name] for name in "ca"}, [("a", "c")], seed=7)
    among = paired_tests(values, [("a", "c"), ("a", "b")], seed=7)[0]
    assert alone[:6] == among[:6]


def test_a_metric_of_sums_is_computed_again_in_every_draw() -> None:
    """Hits of tries, against a loop over the same draws."""
    generator, num_draws = np.random.default_rng(2), 300
    tries = generator.integers(1, 5, size=40).astype(float)
    hits = {name: generator.integers(0, tries + 1).astype(float) for name in "ab"}
    values = {name: np.stack([own, tries], axis=1) for name, own in hits.items()}
    segment = tries > 2

    def rate(sums: Floats) -> Floats:
        return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1))

    (test,) = paired_tests(values, [("a", "b")], seed=5, draws=num_draws, of_sums=rate)
    (found,) = segment_intervals(values, [segment], seed=5, draws=num_draws, of_sums=rate)

    differences, in_segment = [], []
    for rows in np.random.default_rng(5).integers(40, size=(num_draws, 40)):
        a, b = (hits[name][rows].sum() / tries[rows].sum() for name in "ab")
        differences.append(a - b)
        rows = rows[segment[rows]]
        in_segment.append(hits["a"][rows].sum() / tries[rows].sum())
    whole = (hits["a"].sum() - hits["b"].sum()) / tries.sum()
    assert test.difference == pytest.approx(whole)
    assert (test.low, test.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]))
    extreme = np.sum(np.abs(np.array(differences) - whole) >= abs(whole))
    assert test.p_value == pytest.approx((1 + extreme) / (num_draws + 1))
    assert found["a"].mean == pytest.approx(hits["a"][segment].sum() / tries[segment].sum())
    assert (found["a"].low, found["a"].high) == pytest.approx(
        np.quantile(in_segment, [0.025, 0.975])
    )
