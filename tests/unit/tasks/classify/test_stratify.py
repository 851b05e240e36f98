"""Iterative stratification: sizes are exact, shares are near, the same seed gives the same."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.tasks.classify.stratify import stratify, wanted_positives

Array = npt.NDArray[np.int8]


@st.composite
def labelled(draw: st.DrawFn) -> Array:
    """Rows with labels of all frequencies [N, L]."""
    num_rows, num_labels = draw(st.integers(20, 300)), draw(st.integers(1, 6))
    shares = draw(st.lists(st.floats(0.0, 1.0), min_size=num_labels, max_size=num_labels))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return (random.random((num_rows, num_labels)) < shares).astype(np.int8)


def sizes_of(num_rows: int, valid: float, test: float) -> tuple[int, int, int]:
    held = round(valid * num_rows), round(test * num_rows)
    return num_rows - sum(held), *held


SHARE = st.sampled_from([0.0, 0.1, 0.2, 0.3])


@settings(max_examples=60, deadline=None)
@given(labelled(), st.sampled_from([0.1, 0.2, 0.3]), SHARE, st.integers(0, 9))
def test_sizes_are_exact_and_seeds_decide(
    targets: Array, valid: float, test: float, seed: int
) -> None:
    sizes = sizes_of(len(targets), valid, test)
    parts = stratify(targets, sizes, at_least=1, seed=seed)
    assert np.bincount(parts, minlength=3).tolist() == list(sizes)
    assert (parts == stratify(targets, sizes, at_least=1, seed=seed)).all()


@settings(max_examples=60, deadline=None)
@given(labelled(), st.integers(0, 9))
def test_the_rarest_label_is_held_out_to_within_a_row(targets: Array, seed: int) -> None:
    sizes = sizes_of(len(targets), 0.2, 0.1)
    parts = stratify(targets, sizes, seed=seed)
    positives = targets.sum(axis=0)
    rarest = int(np.where(positives > 0, positives, 10**6).argmin())
    found = np.bincount(parts[targets[:, rarest] == 1], minlength=3)
    wanted = wanted_positives(positives, sizes, at_least=0)[rarest]
    room_was_enough = (wanted + 1 <= sizes).all()
    assert not room_was_enough or (np.abs(found - wanted)[1:] <= 1).all()


@settings(max_examples=40, deadline=None)
@given(labelled(), st.integers(0, 9), st.integers(2, 20))
def test_groups_stay_together(targets: Array, seed: int, num_groups: int) -> None:
    groups = np.arange(len(targets))
    groups[: len(groups) // 2] %= num_groups
    groups = np.unique(groups, return_inverse=True)[1]
    parts = stratify(targets, sizes_of(len(targets), 0.2, 0.2), groups=groups, seed=seed)
    for group in range(num_groups):
        assert len(set(parts[groups == group])) == 1


def test_sizes_are_exact_with_small_groups() -> None:
    random = np.random.default_rng(0)
    targets = (random.random((500, 4)) < 0.2).astype(np.int8)
    groups = np.unique(random.integers(0, 400, 500), return_inverse=True)[1]
    parts = stratify(targets, (400, 50, 50), groups=groups, seed=1)
    assert np.bincount(parts).tolist() == [400, 50, 50]


def test_three_positives_reach_three_parts() -> None:
    targets = np.zeros((1000, 2), np.int8)
    targets[[5, 500, 900], 0] = 1
    targets[::2, 1] = 1
    for seed in range(20):
        parts = stratify(targets, (800, 100, 100), at_least=1, seed=seed)
        assert sorted(parts[targets[:, 0] == 1]) == [0, 1, 2]


def test_so_many_positives_as_are_asked_for() -> None:
    targets = np.zeros((1000, 2), np.int8)
    targets[:30, 0] = 1
    targets[10:600, 1] = 1
    parts = stratify(targets, (800, 100, 100), at_least=10, seed=0)
    assert np.bincount(parts[:30]).tolist() == [10, 10, 10]


def test_combinations_of_labels_are_spread_too() -> None:
    """With room as a limit, a part that gets too few rows with two labels runs full before it has
    its share of the last one."""
    random = np.random.default_rng(3)
    first = random.integers(0, 5, 4000)
    targets = np.eye(6, dtype=np.int8)[first]
    targets[(first < 3) & (random.random(4000) < 0.4), 5] = 1
    parts = stratify(targets, (3200, 400, 400), seed=0)
    both = (targets[:, 0] == 1) & (targets[:, 5] == 1)
    shares = [both[parts == part].mean() for part in range(3)]
    assert shares == pytest.approx([both.mean()] * 3, abs=2 / 400)
    for part in range(3):
        assert np.abs(targets[parts == part].mean(axis=0) - targets.mean(axis=0)).max() < 3 / 400


def test_other_seeds_give_other_parts() -> None:
    targets = (np.random.default_rng(0).random((200, 3)) < 0.3).astype(np.int8)
    found = {tuple(stratify(targets, (160, 20, 20), seed=seed)) for seed in range(5)}
    assert len(found) == 5


def test_no_label_and_one_part() -> None:
    assert (stratify(np.zeros((7, 2), np.int8), (7, 0, 0), seed=0) == 0).all()
    parts = stratify(np.zeros((10, 0), np.int8), (8, 1, 1), seed=0)
    assert np.bincount(parts).tolist() == [8, 1, 1]


def test_a_hundred_thousand_rows_in_seconds() -> None:
    targets = (np.random.default_rng(0).random((100_000, 10)) < 0.1).astype(np.int8)
    begun = time.process_time()
    parts = stratify(targets, (80_000, 10_000, 10_000), at_least=1, seed=0)
    assert time.process_time() - begun < 10
    shares = np.stack([targets[parts == part].mean(axis=0) for part in range(3)])
    assert np.ptp(shares, axis=0).max() < 0.001
