"""One truth about batches: whoever shares them, they hold the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from seqtune.batching import TrainOrder
from seqtune.core.errors import ConfigurationError

LENGTHS = np.random.default_rng(0).geometric(0.02, 1003).clip(1, 200)


def batches(
    lengths: np.ndarray, *, epoch: int = 0, rank: int = 0, world_size: int = 1, batch_size: int = 16
) -> list[np.ndarray]:
    order = TrainOrder(lengths, batch_size=batch_size, seed=1, rank=rank, world_size=world_size)
    order.set_epoch(epoch)
    made = order.batches()
    assert len(made) == len(order)
    return made


@settings(max_examples=60, deadline=None)
@given(
    num_rows=some.integers(1, 400),
    batch_size=some.integers(1, 64),
    world_size=some.integers(1, 7),
    epoch=some.integers(0, 3),
)
def test_ranks_share_the_batches_of_one_process_and_each_row_comes_once(
    num_rows: int, batch_size: int, world_size: int, epoch: int
) -> None:
    lengths = LENGTHS[:num_rows]
    alone = batches(lengths, epoch=epoch, batch_size=batch_size)
    assume(min(map(len, alone)) >= world_size)
    of_ranks = [
        batches(lengths, epoch=epoch, batch_size=batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    assert {len(of_rank) for of_rank in of_ranks} == {len(alone)}
    for whole, *parts in zip(alone, *of_ranks, strict=True):
        assert sorted(np.concatenate(parts).tolist()) == sorted(whole.tolist())
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= 1
    assert sorted(np.concatenate(alone).tolist()) == list(range(num_rows))


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_compute_for_equally_long(world_size: int) -> None:
    """Rows are taken in turns from a batch that is sorted by length."""
    of_ranks = [batches(LENGTHS, rank=rank, world_size=world_size) for rank in range(world_size)]
    means = [[LENGTHS[part].mean() for part in of_rank] for of_rank in of_ranks]
    assert np.corrcoef(means[0], means[1])[0, 1] > 0.99


def test_the_order_of_one_process_is_what_it_has_always_been() -> None:
    """A checkpoint of an earlier version goes on with the batches that it would have had."""
    first = batches(LENGTHS[:40], epoch=2, batch_size=8)
    assert first[0].tolist() == [14, 39, 35, 31, 38, 19, 5, 24]
    assert first[1].tolist() == [2, 11, 3, 20, 13, 21, 37, 30]


def test_rows_at_random_come_once_each_and_are_not_sorted() -> None:
    order = TrainOrder(LENGTHS, batch_size=16, seed=1, group_by_length=False)
    made = order.batches()
    assert sorted(np.concatenate(made).tolist()) == list(range(len(LENGTHS)))
    spread = [np.ptp(LENGTHS[rows]) for rows in made]
    assert np.median(spread) > 3 * np.median([np.ptp(LENGTHS[rows]) for rows in batches(LENGTHS)])


def test_nothing_to_train_on_has_no_batches() -> None:
    assert batches(LENGTHS[:0]) == []


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "world_size"), [(3, 4, 5), (100, 2, 3), (9, 4, 4)]
)
def test_a_batch_with_fewer_rows_than_ranks_is_refused(
    num_rows: int, batch_size: int, world_size: int
) -> None:
    said = rf"{world_size} processes share .* batch has \d+ rows .*fewer processes .* or a larger"
    with pytest.raises(ConfigurationError, match=said):
        batches(LENGTHS[:num_rows], batch_size=batch_size, world_size=world_size)
