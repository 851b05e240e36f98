"""The ridge regression of next items on last ones, spelled out position by position."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtune.core.errors import ConfigurationError
from seqtune.tasks.recommend import cooccurrence, item_regression, module
from seqtune.tasks.recommend.cooccurrence import OF_REGRESSION, Cooccurrence
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.item_regression import (
    AFTER,
    AGAINST_TIME,
    BEFORE,
    DECAY,
    LATER_DECAY,
    RIDGE,
    regression_weights,
)
from seqtune.tasks.recommend.module import build_module

from .split_folders import split_of, tiny_config

NUM_ITEMS = 12
ALL = NUM_ITEMS + 1


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> SplitData:
    monkeypatch.setattr(cooccurrence, "_REMEMBERED", {})
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, ALL, rng.integers(3, 40)) for _ in range(60)]
    return split_of([sequence.tolist() for sequence in sequences], num_items=NUM_ITEMS)


def spelled_out(data: SplitData, step: int = 1) -> np.ndarray:
    """The weight of each pair [V + 1, V + 1], before those below zero are left out."""
    before, after = [], []
    for start, length in list(zip(data.offsets, data.train_end, strict=False))[::step]:
        items = data.items[start : start + length]
        for place in range(1, length):
            earlier, later = np.zeros(ALL), np.zeros(ALL)
            for distance in range(1, min(BEFORE, place) + 1):
                earlier[items[place - distance]] += DECAY ** (distance - 1)
            for distance, item in enumerate(items[place : place + AFTER]):
                later[item] += LATER_DECAY**distance
            before.append(earlier)
            after.append(later)
    x, y = np.array(before), np.array(after)
    both = x.T @ y + AGAINST_TIME * y.T @ x
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(ALL), both)


@pytest.mark.parametrize("at_once", [1, 5, 512])
def test_weights_are_those_of_the_regression(
    data: SplitData, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_regression, "ITEMS_AT_ONCE", at_once)
    weights = regression_weights(data, num_neighbours=NUM_ITEMS).toarray()
    expected = spelled_out(data)
    assert (expected[1:, 1:] < 0).any()
    assert np.allclose(weights, np.maximum(expected, 0.0), atol=1e-5)


def test_only_the_largest_weights_are_kept(data: SplitData) -> None:
    kept = regression_weights(data, num_neighbours=3).toarray()
    whole = np.maximum(spelled_out(data), 0.0)
    assert (np.count_nonzero(kept[1:], axis=1) == 3).all()
    assert np.allclose(kept.sum(axis=1), np.sort(whole, axis=1)[:, -3:].sum(axis=1), atol=1e-5)


def test_of_many_interactions_evenly_spaced_users_are_taken(
    data: SplitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_regression, "MOST_INTERACTIONS", int(data.offsets[-1]) // 3 + 1)
    weights = regression_weights(data, num_neighbours=NUM_ITEMS).toarray()
    assert np.allclose(weights, np.maximum(spelled_out(data, step=3), 0.0), atol=1e-5)


def test_counts_and_regression_are_mixed_by_their_mass(data: SplitData) -> None:
    items = torch.arange(1, ALL)[:, None]
    counted = Cooccurrence.of(data).scores(items).numpy()
    learned = np.maximum(spelled_out(data), 0.0)[1:, 1:]
    occurrences = data.train_counts[1:] / data.train_counts.sum()
    parts = [(counted, 1 - OF_REGRESSION), (learned, OF_REGRESSION)]
    expected = sum(share * part / (occurrences @ part.sum(axis=1)) for part, share in parts)

    mixed = Cooccurrence.of(data, regression=True).scores(items).numpy()
    assert np.allclose(mixed, expected, atol=1e-5)


def test_what_is_remembered_does_not_change_with_a_model(data: SplitData) -> None:
    first = Cooccurrence.of(data, regression=True)
    before = first.weights.clone()
    first.weights.mul_(2)
    assert torch.equal(Cooccurrence.of(data, regression=True).weights, before)
    assert not torch.equal(Cooccurrence.of(data).weights, before)


def test_counts_and_regression_of_a_split_are_computed_once(
    data: SplitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluation asks for counts between trainings that ask for the regression."""
    first = [Cooccurrence.of(data, regression=True), Cooccurrence.of(data)]
    for name in ("regression_weights", "_count"):
        monkeypatch.delattr(cooccurrence, name)
    again = [Cooccurrence.of(data, regression=True), Cooccurrence.of(data)]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.pairs, other.pairs)
        assert torch.equal(one.weights, other.weights)


def test_training_starts_from_the_regression(data: SplitData) -> None:
    def start(weights: str) -> torch.Tensor:
        torch.manual_seed(0)
        config = tiny_config(
            item_init="counts", item_to_item_weights=weights, hidden_units=8, num_heads=2
        )
        return build_module(config, data).model.items.weight.detach()

    assert torch.equal(start("regression"), start("regression"))
    assert not torch.equal(start("regression"), start("counts"))


def test_a_catalogue_that_is_too_large_for_an_inverse_is_refused(
    data: SplitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ITEMS", NUM_ITEMS - 1)
    config = tiny_config(item_to_item=0.3, item_to_item_weights="regression")
    with pytest.raises(ConfigurationError, match=r"at most 11 items.*has 12; choose counts"):
        build_module(config, data)
    build_module(tiny_config(item_to_item=0.3), data)


def test_a_split_without_any_pair_has_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "_REMEMBERED", {})
    data = split_of([[1, 2, 3]] * 4, num_items=3)  # one item to train on
    assert not len(Cooccurrence.of(data, regression=True).pairs)
