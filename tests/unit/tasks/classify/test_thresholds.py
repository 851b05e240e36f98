"""The best thresholds, against every threshold there is."""

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.tasks.classify.metrics import by_label
from seqtune.tasks.classify.thresholds import (
    best_of,
    best_thresholds,
    cross_fitted,
    f1_at_cuts,
    rank,
)

LEVELS = 7
"""Few different probabilities make many ties."""


@st.composite
def scored(draw, *, levels=LEVELS):
    """Probabilities and targets [N, L] with ties, labels that no or every row has, 0 and 1."""
    rows, labels = draw(st.integers(1, 30)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    probabilities = random.integers(0, levels, (rows, labels)) / (levels - 1)
    return probabilities, (random.random((rows, labels)) < share).astype(np.int8)


def f1(decided, targets):
    hits = int((decided & (targets > 0)).sum())
    whole = int(decided.sum()) + int(targets.sum())
    return 2 * hits / whole if whole else 0.0


@settings(max_examples=300, deadline=None)
@given(scored())
def test_no_threshold_is_better(case):
    probabilities, targets = case
    found = best_thresholds(probabilities, targets)
    assert found.thresholds.shape == found.f1.shape == (probabilities.shape[1],)
    for label, (own, true) in enumerate(zip(probabilities.T, targets.T, strict=True)):
        every = [f1(own >= value, true) for value in np.unique(own)]
        assert found.f1[label] == max(every)
        assert f1(own >= found.thresholds[label], true) == found.f1[label]
        if not true.any():
            assert (found.thresholds[label], found.f1[label]) == (0.5, 0.0)


@settings(max_examples=100, deadline=None)
@given(scored(levels=1000))
def test_a_grid_is_never_better(case):
    probabilities, targets = case
    found = best_thresholds(probabilities, targets)
    for cut in np.linspace(0.01, 0.99, 99):
        assert (by_label(probabilities >= cut, targets).f1 <= found.f1).all()


def test_a_grid_is_worse_where_a_label_is_rare():
    """Probabilities of rare labels crowd near 0, between the points of a grid."""
    random = np.random.default_rng(0)
    targets = random.random((3000, 1)) < 0.02
    probabilities = 0.008 * (random.random((3000, 1)) + targets)
    on_grid = max(
        by_label(probabilities >= cut, targets).f1[0] for cut in np.linspace(0.01, 0.99, 99)
    )
    assert best_thresholds(probabilities, targets).f1[0] > on_grid


def test_thresholds_by_hand():
    probabilities = np.array([[0.9, 0.5, 0.2], [0.7, 0.5, 0.2], [0.4, 0.5, 0.2], [0.1, 0.1, 0.2]])
    targets = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    found = best_thresholds(probabilities, targets)
    # first: 2 of 3 given are right, 2 * 2 / (3 + 2); the second cannot cut among equals
    assert found.f1.tolist() == [4 / 5, 2 / 4, 0.0]
    assert found.thresholds.tolist() == [(0.4 + 0.1) / 2, (0.5 + 0.1) / 2, 0.5]


def test_where_everything_is_given_the_threshold_lies_below_all():
    found = best_thresholds(np.array([[0.3], [0.2]]), np.ones((2, 1)))
    assert found.thresholds.tolist() == [0.1]


def test_of_equally_good_thresholds_the_one_that_gives_fewer():
    probabilities = np.array([[0.8], [0.6], [0.4], [0.2]])
    targets = np.array([[1], [0], [0], [1]])  # 2 / 3 with one given, and with all four
    found = best_thresholds(probabilities, targets)
    assert (found.f1[0], found.thresholds[0]) == (2 / 3, (0.8 + 0.6) / 2)


def test_neighbours_among_floats_are_told_apart():
    low = 0.3
    high = np.nextafter(low, 1.0)
    found = best_thresholds(np.array([[high], [low]]), np.array([[1], [0]]))
    assert found.f1[0] == 1.0
    assert low < found.thresholds[0] <= high


def test_nothing_to_look_at_gives_a_half():
    found = best_thresholds(np.empty((0, 2)), np.empty((0, 2), np.int8))
    assert found.thresholds.tolist() == [0.5, 0.5]
    assert found.f1.tolist() == [0.0, 0.0]


@settings(max_examples=100, deadline=None)
@given(scored(), st.data())
def test_some_rows_of_a_ranking_are_the_ranking_of_some_rows(case, data):
    probabilities, targets = case
    wanted = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(targets), max_size=len(targets)))
    )
    found = best_of(rank(probabilities, targets).only(wanted))
    expected = best_thresholds(probabilities[wanted], targets[wanted])
    assert found.f1.tolist() == expected.f1.tolist()
    assert found.thresholds.tolist() == expected.thresholds.tolist()


@settings(max_examples=100, deadline=None)
@given(scored(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case, random):
    probabilities, targets = case
    order = list(range(len(targets)))
    random.shuffle(order)
    one, other = (
        best_thresholds(probabilities, targets),
        best_thresholds(probabilities[order], targets[order]),
    )
    assert one.thresholds.tolist() == other.thresholds.tolist()


def test_a_row_has_no_say_in_its_own_threshold():
    random = np.random.default_rng(1)
    targets = random.integers(0, 2, (40, 3))
    probabilities = (random.random((40, 3)) + targets) / 2
    before = cross_fitted(probabilities, targets, seed=0)
    assert before.shape == (40, 3)
    moved = 0
    for row in range(40):
        other = targets.copy()
        other[row] = 1 - other[row]
        after = cross_fitted(probabilities, other, seed=0)
        assert after[row].tolist() == before[row].tolist()
        moved += after.tolist() != before.tolist()
    assert moved > 10


def test_cross_fitting_repeats_and_takes_few_rows():
    probabilities = np.array([[0.9], [0.8], [0.1]])
    targets = np.array([[1], [1], [0]])
    found = cross_fitted(probabilities, targets, seed=0)
    assert found.tolist() == cross_fitted(probabilities, targets, seed=0).tolist()
    assert found[0].tolist() == [(0.8 + 0.1) / 2]  # of the other two
    assert cross_fitted(probabilities[:1], targets[:1], seed=0).tolist() == [[0.5]]


def test_cross_fitted_numbers_are_lower_where_there_is_nothing_to_learn():
    random = np.random.default_rng(2)
    probabilities, targets = random.random((60, 20)), random.random((60, 20)) < 0.1
    own = best_thresholds(probabilities, targets).f1.mean()
    honest = by_label(probabilities >= cross_fitted(probabilities, targets, seed=0), targets)
    assert honest.f1.mean() < own - 0.05


def test_the_curve_has_a_point_for_each_place_to_cut():
    cuts, f1s = f1_at_cuts(rank(np.array([[0.5], [0.9], [0.5]]), np.array([[1], [0], [1]])))
    assert [one.tolist() for one in (cuts[0], f1s[0])] == [[0.9, 0.5], [0.0, 4 / 5]]


def test_large_data_takes_moments():
    random = np.random.default_rng(0)
    probabilities = random.random((20_000, 11))
    targets = random.random((20_000, 11)) < 0.2
    start = time.process_time()
    best_thresholds(probabilities, targets)
    assert time.process_time() - start < 2.0  # 0.02 s alone on a machine
