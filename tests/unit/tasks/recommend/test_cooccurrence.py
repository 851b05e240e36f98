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
    LATER_POWER,
    REACH,
    Cooccurrence,
    last_items,
    last_items_of,
)
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.losses.cross_entropy import Mixture, item_cross_entropy
from seqtune.tasks.recommend.models import build_model, load_model
from seqtune.tasks.recommend.models.transformer_config import TransformerConfig

from .split_folders import split_of

NUM_ITEMS = 12


@pytest.fixture
def data() -> SplitData:
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


def test_only_the_best_neighbours_are_kept(
    data: SplitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "MOST_NEIGHBOURS", 2)
    scores = Cooccurrence.of(data).scores(torch.arange(1, NUM_ITEMS + 1)[:, None]).numpy()
    whole = spelled_out(data)[1:, 1:]
    assert ((scores > 0).sum(1) == 2).all()
    assert np.allclose(scores.max(1), whole.max(1), atol=1e-6)


def test_a_sequence_is_left_out_of_its_own_counts() -> None:
    """What remains for a target is what the other users say."""
    others = [[4, 5, 6, 7], [1, 5, 3, 2, 8], [2, 1, 3, 6, 7]]
    own = [1, 2, 3, 9, 10]  # trained on 1, 2, 3
    with_own = split_of([*others, own], num_items=NUM_ITEMS)
    found = Cooccurrence.of(with_own).scores_without_own(torch.tensor([[2, 1]]), torch.tensor([3]))
    times = with_own.train_counts.astype(float)
    # of the others: 2 -> 3 two apart, 1 -> 3 twice (two apart and next); none in reverse
    without = {2: 1 / 2, 1: 1 / 2 + 1}
    expected = sum(
        DECAY**place * count / times[item] ** EARLIER_POWER / times[3] ** LATER_POWER
        for place, (item, count) in enumerate(without.items())
    )
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_last_items_are_those_before_a_position() -> None:
    items = torch.tensor([[0, 0, 1, 2, 3], [4, 5, 6, 7, 8]], dtype=torch.int32)
    positions = torch.tensor([3, 5, 9])
    found = last_items(items, positions, inclusive=True)
    assert found[:, :3].tolist() == [[2, 1, 0], [4, 0, 0], [8, 7, 6]]
    before = last_items(items, positions, inclusive=False)
    assert before[:, :3].tolist() == [[1, 0, 0], [0, 0, 0], [7, 6, 5]]
    assert last_items_of(items)[:, :3].tolist() == [[2, 1, 0], [7, 6, 5]]


def test_the_baseline_ranks_unknown_neighbours_by_popularity(data: SplitData) -> None:
    scores = Baselines.of(data).scores(ITEM_TO_ITEM, torch.tensor([[0], [1]]))
    assert (
        scores[0].argsort(stable=True) == torch.tensor(data.train_counts[1:]).argsort(stable=True)
    ).all()
    assert np.allclose(scores[1], spelled_out(data)[1, 1:], atol=1e-6)


def test_the_mixed_loss_is_that_of_the_mixed_probabilities() -> None:
    hidden, weight, bias, gate = (
        torch.randn(size).requires_grad_() for size in ((50, 8), (30, 8), (30,), (50,))
    )
    other, columns = torch.rand(50) * (torch.rand(50) > 0.3), torch.randint(0, 30, (50,))
    leaves = [hidden, weight, bias, gate]
    found = item_cross_entropy(hidden, weight, bias, columns, Mixture(gate, other))
    network = (hidden @ weight.t() + bias).softmax(1)[torch.arange(50), columns]
    share = gate.sigmoid()
    expected = -((1 - share) * network + share * other).log().mean()
    torch.testing.assert_close(found, expected)
    pairs = zip(*(torch.autograd.grad(loss, leaves) for loss in (found, expected)), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def mixed_model(data: SplitData, **settings: Any) -> Any:
    config = TransformerConfig(
        hidden_units=8, num_heads=2, num_layers=1, max_len=12, item_to_item=True, **settings
    )
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
    assert torch.allclose(scores[0].exp().sum(), torch.tensor(1.0), atol=1e-5)
    assert scores.isfinite().all()
    torch.testing.assert_close(scores, model.next_item_scores(sequences(9)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("objective", ["causal", "cloze"])
def test_training_and_prediction_mix_the_same(data: SplitData, objective: str) -> None:
    """But for what a sequence itself added to the counts, which is left out here."""
    model = mixed_model(data, objective=objective)
    items = sequences(6)[:1]
    model.mixture.counts.earlier.zero_()
    inputs, position = (items[:, :-1], 4) if objective == "causal" else (items, 5)
    loss = model.loss(inputs, torch.tensor([position]), torch.tensor([2]))
    torch.testing.assert_close(loss, -model.next_item_scores(items)[0, 1], atol=1e-5, rtol=1e-4)


def test_the_counts_are_kept_with_the_weights(data: SplitData) -> None:
    model = mixed_model(data, objective="causal")
    again = load_model(model.config, model.state_dict())
    assert torch.equal(model.next_item_scores(sequences(5)), again.next_item_scores(sequences(5)))
