"""Rows that a gradient touched, beside torch's own optimisers; all others stay as they are."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import ConfigurationError
from seqtune.training.lazy_adam import DECAY_EVERY, LazyAdam, clip_norm
from seqtune.training.optimizers import Schedule, build_optimizer, configure_optimizers

ROWS = 7


class Catalogue(nn.Module):
    """An embedding, its bias, and something dense."""

    def __init__(self, *, sparse: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.items = nn.Embedding(ROWS, 3, sparse=sparse)
        self.bias = nn.Parameter(torch.zeros(ROWS))
        self.dense = nn.Linear(3, 1)

    def forward(self, items: Tensor) -> Tensor:
        found: Tensor = self.dense(self.items(items)).squeeze(-1)
        return found + self.bias.gather(0, items, sparse_grad=self.items.sparse)


def optimizer_of(module: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return build_optimizer(module, TrainingConfig(precision="fp32", **options))


def train(
    module: Catalogue,
    optimizer: torch.optim.Optimizer,
    batches: list[list[int]],
    *,
    clip: float = 0,
) -> None:
    for items in batches:
        optimizer.zero_grad()
        chosen = torch.tensor(items)
        ((module(chosen) - chosen) ** 2).mean().backward()
        if clip:
            clip_norm(module.parameters(), clip)
        optimizer.step()


ALL = list(range(ROWS))
BATCHES = [[1, 2, 2, 5], [3, 1], [6, 5, 5, 0], [2, 2]] * 3


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_where_every_row_is_touched_it_is_torchs(name: str) -> None:
    found = []
    for sparse in (True, False):
        module = Catalogue(sparse=sparse)
        optimizer = optimizer_of(module, optimizer=name, lr=0.05, weight_decay=0.0)
        assert isinstance(optimizer, LazyAdam) is sparse
        train(module, optimizer, [ALL, [*ALL, 3, 3], ALL] * 4)
        found.append(module.state_dict())
    for key, value in found[0].items():
        torch.testing.assert_close(value, found[1][key])


def test_rows_move_as_in_sparse_adam_and_dense_parts_as_in_adamw() -> None:
    ours, theirs = Catalogue(), Catalogue()
    sparse = torch.optim.SparseAdam([theirs.items.weight, theirs.bias], lr=0.05)
    dense = torch.optim.AdamW(theirs.dense.parameters(), lr=0.05, weight_decay=0.0)

    class Both:
        def zero_grad(self) -> None:
            sparse.zero_grad()
            dense.zero_grad()

        def step(self) -> None:
            sparse.step()
            dense.step()

    train(ours, optimizer_of(ours, lr=0.05, weight_decay=0.0), BATCHES)
    train(theirs, Both(), BATCHES)  # type: ignore[arg-type]
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_untouched_rows_stay_until_decay_comes_round() -> None:
    module = Catalogue()
    before = module.items.weight.detach().clone()
    optimizer = optimizer_of(module, lr=0.1, weight_decay=0.02)
    train(module, optimizer, [[1, 2]] * (DECAY_EVERY - 1))
    assert torch.equal(module.items.weight[4], before[4])
    train(module, optimizer, [[1, 2]])
    expected = before[4] * (1.0 - 0.1 * 0.02) ** DECAY_EVERY
    torch.testing.assert_close(module.items.weight[4], expected)
    assert not module.bias[4]


def test_decay_follows_the_schedule() -> None:
    config = TrainingConfig(
        lr=0.1, weight_decay=0.5, epochs=1, scheduler="linear", precision="fp32"
    )
    module, schedule = Catalogue(), Schedule(config)
    before = module.items.weight.detach().clone()
    configured = configure_optimizers(module, config=config, schedule=schedule)
    schedule.steps_per_epoch = DECAY_EVERY
    for _ in range(DECAY_EVERY):
        train(module, configured["optimizer"], [[1]])
        configured["lr_scheduler"]["scheduler"].step()
    factor = math.prod(1.0 - 0.05 * (1.0 - step / DECAY_EVERY) for step in range(DECAY_EVERY))
    torch.testing.assert_close(module.items.weight[4], before[4] * factor)


def test_coupled_decay_is_part_of_a_touched_rows_gradient() -> None:
    results = []
    for sparse in (True, False):
        module = Catalogue(sparse=sparse)
        train(module, optimizer_of(module, optimizer="adam", lr=0.05, weight_decay=0.3), [ALL] * 5)
        results.append(module.items.weight.detach())
    torch.testing.assert_close(*results)


def test_a_state_goes_on_bit_for_bit() -> None:
    options = {"lr": 0.05, "weight_decay": 0.3}
    batches = BATCHES * 10  # beyond one round of decay
    whole = Catalogue()
    train(whole, optimizer_of(whole, **options), batches)
    for stop in (0, 5, DECAY_EVERY - 1, DECAY_EVERY, DECAY_EVERY + 3):
        first = Catalogue()
        optimizer = optimizer_of(first, **options)
        train(first, optimizer, batches[:stop])
        second, state = copy.deepcopy(first), copy.deepcopy(optimizer.state_dict())
        resumed = optimizer_of(second, **options)
        resumed.load_state_dict(state)
        train(second, resumed, batches[stop:])
        for mine, other in zip(second.parameters(), whole.parameters(), strict=True):
            assert torch.equal(mine, other)


def test_clipping_counts_rows_of_sparse_gradients_once() -> None:
    norms = []
    for sparse in (True, False):
        module = Catalogue(sparse=sparse)
        train(module, optimizer_of(module, lr=1e-3), [[1, 2, 2, 5]], clip=0.5)
        gradients = [parameter.grad.to_dense() for parameter in module.parameters()]
        norms.append(gradients)
    for lazy, dense in zip(*norms, strict=True):
        torch.testing.assert_close(lazy, dense)
    assert float(torch.cat([g.flatten() for g in norms[0]]).norm()) == pytest.approx(0.5, rel=1e-4)


def test_small_gradients_are_not_clipped() -> None:
    module = Catalogue()
    train(module, optimizer_of(module, lr=1e-3), [[1, 2]], clip=1e9)
    plain = Catalogue()
    train(plain, optimizer_of(plain, lr=1e-3), [[1, 2]])
    for one, other in zip(module.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["sgd", "adafactor"])
def test_other_optimisers_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"optimizer={name} cannot update the rows"):
        optimizer_of(Catalogue(), optimizer=name)


def test_what_the_closure_computes_is_what_is_stepped_on() -> None:
    """Lightning computes gradients inside `step`."""
    module = Catalogue()
    optimizer = optimizer_of(module, lr=0.05)
    before = module.items.weight.detach().clone()

    def closure() -> Tensor:
        loss = module(torch.tensor([3])).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) is not None
    changed = (module.items.weight != before).any(dim=1)
    assert changed.tolist() == [row == 3 for row in range(ROWS)]


def test_dense_gradients_are_clipped_as_torch_does() -> None:
    results = []
    for clip in (clip_norm, nn.utils.clip_grad_norm_):
        module = Catalogue(sparse=False)
        (100.0 * module(torch.tensor([1, 2]))).sum().backward()
        clip(module.parameters(), 0.5)
        results.append([parameter.grad for parameter in module.parameters()])
    for ours, torchs in zip(*results, strict=True):
        assert torch.equal(ours, torchs)
