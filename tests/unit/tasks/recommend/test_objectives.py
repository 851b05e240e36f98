"""What is masked, how often, and with what."""

from __future__ import annotations

import pytest
import torch

from seqtune.tasks.recommend.objectives import (
    Replacement,
    TrainingTargets,
    masked_items,
    next_items,
)

NUM_ITEMS = 1000
MASK = NUM_ITEMS + 1


BERT = Replacement(mask=0.8, random=0.1)


def masked(
    items: torch.Tensor,
    *,
    prob: float = 0.2,
    last: float = 0.0,
    replaced: Replacement = BERT,
    seed: int = 0,
):
    return masked_items(
        items,
        num_items=NUM_ITEMS,
        mask_prob=prob,
        last_item_ratio=last,
        replaced=replaced,
        generator=torch.Generator().manual_seed(seed),
    )


def random_items(rows: int = 400, time: int = 100, *, padded: int = 0) -> torch.Tensor:
    items = torch.randint(1, NUM_ITEMS + 1, (rows, time), dtype=torch.int32)
    items[:, :padded] = 0
    return items


def test_shares_of_the_three_treatments() -> None:
    items = random_items()
    batch = masked(items)
    share = len(batch.positions) / items.numel()
    assert share == pytest.approx(0.2, abs=0.01)
    seen = batch.inputs.flatten()[batch.positions]
    assert (seen == MASK).float().mean() == pytest.approx(0.8, abs=0.02)
    kept = (seen == batch.targets).float().mean()  # a random item may be the same by chance
    assert kept == pytest.approx(0.1, abs=0.02)
    others = seen[(seen != MASK) & (seen != batch.targets)]
    assert others.min() >= 1
    assert others.max() <= NUM_ITEMS


def test_every_chosen_item_can_become_the_mask() -> None:
    batch = masked(random_items(), replaced=Replacement(mask=1.0, random=0.0))
    assert (batch.inputs.flatten()[batch.positions] == MASK).all()


def test_targets_are_what_stood_there_and_the_rest_is_untouched() -> None:
    items = random_items()
    batch = masked(items)
    assert torch.equal(batch.targets, items.flatten()[batch.positions].long())
    untouched = torch.ones(items.numel(), dtype=torch.bool)
    untouched[batch.positions] = False
    assert torch.equal(batch.inputs.flatten()[untouched], items.flatten()[untouched])
    assert bool((batch.positions.diff() > 0).all())


def test_padding_is_never_chosen() -> None:
    items = random_items(time=20, padded=15)
    batch = masked(items, prob=0.9, last=0.3)
    assert bool((items.flatten()[batch.positions] > 0).all())
    assert bool((batch.inputs[:, :15] == 0).all())


@pytest.mark.parametrize("prob", [1e-6, 0.9])
def test_every_sequence_has_a_masked_item(prob: float) -> None:
    items = random_items(time=5, padded=2)
    rows = masked(items, prob=prob).positions // 5
    assert torch.equal(rows.unique(), torch.arange(len(items)))


def test_a_row_without_a_chosen_item_masks_its_last_with_mask() -> None:
    items = random_items(time=5)
    batch = masked(items, prob=1e-9)
    assert torch.equal(batch.positions, torch.arange(len(items)) * 5 + 4)
    assert bool((batch.inputs[:, -1] == MASK).all())


def test_last_item_ratio_is_the_share_of_sequences_that_mask_the_last_item_only() -> None:
    items = random_items(rows=3000, time=40)
    batch = masked(items, prob=0.5, last=0.25)
    counts = torch.bincount(batch.positions // 40, minlength=len(items))
    alone = counts == 1
    assert alone.float().mean() == pytest.approx(0.25, abs=0.03)
    assert bool((batch.inputs[alone, -1] == MASK).all())


def test_a_ratio_of_one_masks_nothing_but_last_items() -> None:
    batch = masked(random_items(time=7), prob=0.9, last=1.0)
    assert bool((batch.positions % 7 == 6).all())
    assert bool((batch.inputs.flatten()[batch.positions] == MASK).all())


def test_a_sequence_of_padding_only_has_no_target() -> None:
    batch = masked(torch.zeros(2, 6, dtype=torch.int32), last=0.5)
    assert batch.positions.numel() == 0
    assert batch.targets.numel() == 0


def test_equal_generators_give_equal_masks_and_others_do_not() -> None:
    items = random_items()
    first, again, other = masked(items, seed=1), masked(items, seed=1), masked(items, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.inputs, other.inputs)


def test_nothing_is_drawn_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    items = torch.ones(3, 4, dtype=torch.int32)
    result = masked(items)
    assert isinstance(result, TrainingTargets)
    assert torch.equal(torch.get_rng_state(), before)


def test_next_items_are_asked_for_behind_every_item_and_never_behind_padding() -> None:
    items = torch.tensor([[0, 0, 5, 6, 7], [1, 2, 3, 4, 9], [0, 0, 0, 0, 8]], dtype=torch.int32)
    asked = next_items(items)
    assert asked.inputs.tolist() == [[0, 0, 5, 6], [1, 2, 3, 4], [0, 0, 0, 0]]
    assert asked.positions.tolist() == [2, 3, 4, 5, 6, 7]
    assert asked.targets.tolist() == [6, 7, 2, 3, 4, 9]
