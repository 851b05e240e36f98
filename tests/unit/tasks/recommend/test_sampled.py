"""A few items that stand for all: what is drawn, what it costs, and what it is on average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seqtune.tasks.recommend.losses import cross_entropy
from seqtune.tasks.recommend.losses.cross_entropy import item_cross_entropy
from seqtune.tasks.recommend.losses.sampled_softmax import (
    OutputRows,
    SampledItems,
    cumulated_shares,
    draw_by_weight,
    draw_items,
    sampled_cross_entropy,
)

NUM_ITEMS = 40


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def leaves(*, positions: int = 9, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """hidden, weight and bias."""
    torch.manual_seed(3)
    shapes = (positions, 6), (NUM_ITEMS, 6), (NUM_ITEMS,)
    made = [torch.randn(shape) for shape in shapes]
    return [tensor.to(dtype if n == 0 else None).requires_grad_() for n, tensor in enumerate(made)]


def sampled(
    hidden: Tensor, weight: Tensor, bias: Tensor, columns: Tensor, drawn: SampledItems
) -> Tensor:
    right, others = (OutputRows(weight[c], bias[c]) for c in (columns, drawn.columns))
    return sampled_cross_entropy(hidden, right, others, columns=columns, drawn=drawn)


def spelled_out(
    hidden: Tensor, weight: Tensor, bias: Tensor, columns: Tensor, drawn: SampledItems
) -> Tensor:
    logits = hidden @ weight.t() + bias
    others = logits[:, drawn.columns] + drawn.shifts
    others = others.masked_fill(drawn.columns == columns[:, None], -torch.inf)
    own = logits.gather(1, columns[:, None])
    return (torch.cat([own, others], 1).logsumexp(1) - own[:, 0]).mean()


@pytest.mark.parametrize(("num_items", "num_drawn"), [(10, 3), (7, 7), (1000, 31), (5, 1)])
def test_one_item_is_drawn_of_each_slice(num_items: int, num_drawn: int) -> None:
    edges = [slot * num_items // num_drawn for slot in range(num_drawn + 1)]
    for seed in range(20):
        drawn = draw_items(num_items, num_drawn, generator=generator(seed))
        for slot, (column, shift) in enumerate(
            zip(drawn.columns.tolist(), drawn.shifts.tolist(), strict=True)
        ):
            assert edges[slot] <= column < edges[slot + 1]
            assert shift == pytest.approx(math.log(edges[slot + 1] - edges[slot]), rel=1e-6)


def test_every_item_of_a_slice_is_as_likely() -> None:
    found = torch.stack(
        [draw_items(12, 3, generator=generator(seed)).columns for seed in range(2000)]
    )
    assert found.flatten().bincount(minlength=12).tolist() == pytest.approx([500] * 12, abs=80)


COUNTS = torch.tensor([999, 0, 3, 99, 0, 24, 8, 0, 15, 48])


@pytest.mark.parametrize("power", [0.5, 1.0])
@pytest.mark.parametrize("num_drawn", [1, 4, 10, 200])
def test_frequent_items_are_drawn_more_often_and_the_sum_stays_right(
    power: float, num_drawn: int
) -> None:
    """On average, the drawn items stand for all: of any values, their sum is the same."""
    values = torch.linspace(0.1, 3.0, 10)
    cumulated = cumulated_shares(COUNTS, power=power)
    sums, drawn_items = [], torch.zeros(10)
    for seed in range(4000):
        drawn = draw_by_weight(cumulated, num_drawn, generator=generator(seed))
        assert drawn.columns.tolist() == sorted({*drawn.columns.tolist()})
        drawn_items[drawn.columns] += 1
        sums.append(float((values[drawn.columns] * drawn.shifts.exp()).sum()))
    error = torch.tensor(sums).std() / math.sqrt(len(sums))
    assert abs(sum(sums) / len(sums) - float(values.sum())) < 4 * float(error) + 1e-4
    assert drawn_items[0] == drawn_items.max()
    assert drawn_items[1] <= drawn_items[2]


def test_equal_weights_are_equal_lengths() -> None:
    cumulated = cumulated_shares(COUNTS, power=0.0)
    drawn = draw_by_weight(cumulated, 5, generator=generator())
    assert (drawn.columns // 2).tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(drawn.shifts, torch.full((5,), math.log(2.0)))


def test_items_that_stand_for_many_are_counted_so() -> None:
    cumulated = cumulated_shares(torch.tensor([98, 0]), power=1.0)
    drawn = draw_by_weight(cumulated, 100, generator=generator())
    assert drawn.columns.tolist() == [0, 1]
    torch.testing.assert_close(drawn.shifts, torch.zeros(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_drawn", [1, 7, NUM_ITEMS])
def test_value_and_gradients_are_those_of_the_formula(num_drawn: int) -> None:
    """Position 4 has its own item among the drawn ones."""
    drawn = draw_items(NUM_ITEMS, num_drawn, generator=generator())
    columns = torch.arange(9) * 4
    columns[4] = drawn.columns[num_drawn // 2]
    results = []
    for loss_of in (sampled, spelled_out):
        given = leaves()
        loss = loss_of(*given, columns, drawn)
        (3.0 * loss).backward()
        results.append([loss.detach(), *(leaf.grad for leaf in given)])
    for ours, formula in zip(*results, strict=True):
        torch.testing.assert_close(ours, formula, rtol=1e-5, atol=1e-6)


def test_in_pieces_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, columns = draw_items(NUM_ITEMS, 8, generator=generator()), torch.arange(70) % NUM_ITEMS
    results = []
    for elements in (1 << 18, 1):
        monkeypatch.setattr(cross_entropy, "elements_per_chunk", lambda _device, n=elements: n)
        given = leaves(positions=70)
        sampled(*given, columns, drawn).backward()
        results.append([leaf.grad for leaf in given])
    for whole, pieces in zip(*results, strict=True):
        torch.testing.assert_close(whole, pieces, rtol=1e-5, atol=1e-6)


def test_with_every_item_drawn_it_is_the_full_cross_entropy() -> None:
    drawn, columns = draw_items(NUM_ITEMS, NUM_ITEMS, generator=generator()), torch.arange(9) * 2
    results = []
    for loss_of in (
        lambda *given: sampled(*given, columns, drawn),
        lambda *given: item_cross_entropy(*given, columns),
    ):
        given = leaves()
        loss = loss_of(*given)
        loss.backward()
        results.append([loss.detach(), *(leaf.grad for leaf in given)])
    for few, full in zip(*results, strict=True):
        torch.testing.assert_close(few, full, rtol=1e-5, atol=1e-6)


def test_over_many_draws_the_denominator_is_that_of_all_items() -> None:
    """exp of a position's loss is its denominator by its own exponential."""
    hidden, weight, bias = (leaf.detach() for leaf in leaves(positions=1))
    column = torch.tensor([5])
    full = float(functional.cross_entropy(hidden @ weight.t() + bias, column).exp())
    found = torch.stack(
        [
            sampled(hidden, weight, bias, column, draw_items(NUM_ITEMS, 10, generator=draws)).exp()
            for draws in map(generator, range(3000))
        ]
    )
    error = float(found.std()) / math.sqrt(len(found))
    assert float(found.mean()) == pytest.approx(full, abs=4 * error)
    assert error < 0.02 * full


def test_the_mean_loss_approaches_that_of_all_items() -> None:
    given = [leaf.detach() for leaf in leaves()]
    columns = torch.arange(9)
    full = float(item_cross_entropy(*given, columns))
    gaps = []
    for num_drawn in (2, 10, 30):
        losses = [
            float(sampled(*given, columns, draw_items(NUM_ITEMS, num_drawn, generator=draws)))
            for draws in map(generator, range(400))
        ]
        gaps.append(abs(sum(losses) / len(losses) - full))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.05 * full


def test_bf16_is_close_and_accumulates_in_fp32() -> None:
    drawn, columns = draw_items(NUM_ITEMS, 10, generator=generator()), torch.arange(9)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        given = leaves(dtype=dtype)
        loss = sampled(*given, columns, drawn)
        loss.backward()
        results.append([loss.detach(), *(leaf.grad for leaf in given)])
        assert [leaf.grad.dtype for leaf in given] == [dtype, torch.float32, torch.float32]
        assert loss.dtype == torch.float32
    for fp32, bf16 in zip(*results, strict=True):
        torch.testing.assert_close(bf16.float(), fp32, rtol=0.05, atol=0.02)


def test_nothing_masked_is_no_loss_and_no_gradient() -> None:
    given = leaves(positions=0)
    drawn = draw_items(NUM_ITEMS, 4, generator=generator())
    loss = sampled(*given, torch.zeros(0, dtype=torch.int64), drawn)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not given[1].grad.any()
