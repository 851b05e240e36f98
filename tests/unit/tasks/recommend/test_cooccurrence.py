"""Item-to-item counts, spelled out pair by pair, and the model that they are mixed into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtune.tasks.recommend import cooccurrence
from seqtune.tasks.recommend.baselines import ITEM_TO_ITEM, Baselines
from seqtune.tasks.recommend.cooccurrence import (
    AGAINST_TIME,
    DECAY,
    EARLIER_POWER,
    LAST_ITEMS,
    LATER_POWER,
    REACH,
    Cooccurrence,
    last_items,
)
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.models import build_model, load_model
from seqtune.tasks.recommend.models.base import SHARES
from seqtune.tasks.recommend.models.transformer_config import TransformerConfig
from seqtune.tasks.recommend.module import build_module

from .split_folders import split_of, tiny_config

NUM_ITEMS = 12


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> SplitData:
    monkeypatch.setattr(cooccurrence, "_REMEMBERED", {})
    rng = np.random.default_rng(0)
    sequences = [rng.permutation(NUM_ITEMS)[: rng.integers(3, 13)] + 1 for _ in range(30)]
    return split_of([sequence.tolist() for sequence in sequences], num_items=NUM_ITEMS)


def spelled_out(data: SplitData) -> np.ndarray:
    """The weight of each pair [V + 1, V + 1]."""
    counts = np.zeros((NUM_ITEMS + 1, NUM_ITEMS + 1))
    for start, length in zip(data.offsets, data.train_end, strict=False):
        items = data.items[start : start + length]
        for place, later in enumerate(items):
            for distance in range(1, min(REACH, place) + 1):
                counts[items[place - distance], later] += 1 / distance
    counts = counts + AGAINST_TIME * counts.T
    times = np.maximum(data.train_counts, 1)
    return counts / times[:, None] ** EARLIER_POWER / times[None] ** LATER_POWER


def test_scores_are_the_weights_of_the_last_items(data: SplitData) -> None:
    weights = spelled_out(data)
    scores = Cooccurrence.of(data).scores(torch.tensor([[3, 5, 0], [0, 0, 0], [1, 2, 13]]))
    expected = [
        weights[3, 1:] + DECAY * weights[5, 1:],
        np.zeros(NUM_ITEMS),
        weights[1, 1:] + DECAY * weights[2, 1:],  # 13 is [MASK]
    ]
    assert np.allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_do_not_change_the_counts(
    data: SplitData, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "CHUNK", chunk)
    contexts = torch.arange(1, NUM_ITEMS + 1)[:, None]
    expected = spelled_out(data)[1:, 1:]
    assert np.allclose(Cooccurrence.of(data).scores(contexts), expected, atol=1e-6)


@pytest.mark.parametrize(
    "limits", [{"MOST_NEIGHBOURS": 2}, {"MOST_PAIRS": 30, "FEWEST_NEIGHBOURS": 1}]
)
def test_only_the_best_neighbours_are_kept(
    data: SplitData, limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in limits.items():
        monkeypatch.setattr(cooccurrence, name, limit)
    scores = Cooccurrence.of(data).scores(torch.arange(1, NUM_ITEMS + 1)[:, None]).numpy()
    whole = spelled_out(data)[1:, 1:]
    assert ((scores > 0).sum(1) == 2).all()
    assert np.allclose(scores.max(1), whole.max(1), atol=1e-6)


def test_last_items_are_those_before_the_mask() -> None:
    inputs = torch.tensor([[0, 0, 1, 2, 3], [4, 5, 6, 7, 8]], dtype=torch.int32)
    assert last_items(inputs)[:, :3].tolist() == [[2, 1, 0], [7, 6, 5]]
    assert last_items(inputs[:, -1:]).tolist() == [[0] * LAST_ITEMS] * 2


def test_the_baseline_ranks_unknown_neighbours_by_popularity(data: SplitData) -> None:
    scores = Baselines.of(data).scores(ITEM_TO_ITEM, torch.tensor([[0], [1]]))
    assert (
        scores[0].argsort(stable=True) == torch.tensor(data.train_counts[1:]).argsort(stable=True)
    ).all()
    assert np.allclose(scores[1], spelled_out(data)[1, 1:], atol=1e-6)


def mixed_model(data: SplitData, **settings: Any) -> Any:
    sizes = {"hidden_units": 8, "num_heads": 2, "num_layers": 1, "max_len": 12}
    config = TransformerConfig(**{**sizes, "item_to_item": 0.3, **settings})
    counts = Cooccurrence.of(data)
    return build_model(config, num_items=NUM_ITEMS, sides={}, counts=counts).eval()


def sequences(width: int) -> Tensor:
    rows = torch.zeros(2, width, dtype=torch.int32)
    rows[0, -4:] = torch.tensor([7, 3, 9, NUM_ITEMS + 1])
    rows[1, -1] = NUM_ITEMS + 1
    return rows


@pytest.mark.parametrize("objective", ["causal", "cloze"])
def test_scores_are_log_probabilities_whatever_the_padding(data: SplitData, objective: str) -> None:
    model = mixed_model(data, objective=objective)
    scores = model.next_item_scores(sequences(4))
    totals = scores.exp().sum(1).detach()
    assert np.allclose(totals, [1.0, 0.7], atol=1e-5)  # without a history, counts say nothing
    assert scores.isfinite().all()
    torch.testing.assert_close(scores, model.next_item_scores(sequences(9)), atol=1e-5, rtol=0)


def test_the_share_is_that_of_the_counts(data: SplitData) -> None:
    model, items = mixed_model(data), sequences(6)[:1]
    mixed = model.next_item_scores(items).exp()
    counted = spelled_out(data)[[9, 3, 7], 1:] * np.array([[1.0], [DECAY], [DECAY**2]])
    model.counts = None
    network = model.next_item_scores(items).softmax(1)
    expected = 0.7 * network.detach().numpy() + 0.3 * counted.sum(0) / counted.sum()
    assert np.allclose(mixed.detach(), expected, atol=1e-6)


def test_the_counts_are_kept_with_the_weights(data: SplitData) -> None:
    model = mixed_model(data, objective="causal")
    again = load_model(model.config, model.state_dict())
    assert torch.equal(model.next_item_scores(sequences(5)), again.next_item_scores(sequences(5)))


def test_every_share_that_validation_measures_ranks_as_prediction_with_it(data: SplitData) -> None:
    model, items = mixed_model(data, item_to_item="auto"), sequences(6)[:1]
    for share, probabilities in zip(SHARES, model.probabilities_by_share(items), strict=True):
        model.share.fill_(share)
        torch.testing.assert_close(model.next_item_scores(items).exp(), probabilities)


def test_the_chosen_share_is_kept_with_the_weights(data: SplitData) -> None:
    model = mixed_model(data, item_to_item="auto")
    model.share.fill_(0.4)
    again = load_model(model.config, model.state_dict())
    assert torch.equal(model.next_item_scores(sequences(5)), again.next_item_scores(sequences(5)))


def test_vectors_of_items_that_occur_together_are_near_each_other() -> None:
    """Two groups of items that never meet; the last item has no neighbour at all."""
    groups = [[1, 2, 3], [4, 5, 6]]
    rng = np.random.default_rng(0)
    sequences = [[*rng.permutation(groups[user % 2]).tolist(), 7, 7] for user in range(40)]
    vectors = Cooccurrence.of(split_of(sequences, num_items=7)).item_vectors(width=2)

    assert vectors.shape == (7, 2)
    assert not vectors[6].any()
    near = torch.cosine_similarity(vectors[:6, None], vectors[None, :6], dim=2)
    assert near[:3, :3].min() > near[:3, 3:].max() + 0.5


def test_item_vectors_start_from_counts(data: SplitData) -> None:
    config = tiny_config(item_init="counts", hidden_units=8, num_heads=2)

    def start() -> Tensor:
        torch.manual_seed(0)
        return build_module(config, data).model.items.weight.detach()

    weight, again = start(), start()
    assert torch.equal(weight, again)
    assert weight[1 : NUM_ITEMS + 1].std() == pytest.approx(config.model.init_std, rel=0.2)
    assert not weight[0].any()


def test_without_any_pair_all_vectors_are_zero() -> None:
    counts = Cooccurrence(num_items=NUM_ITEMS, num_pairs=0)
    assert not counts.item_vectors(4).any()
