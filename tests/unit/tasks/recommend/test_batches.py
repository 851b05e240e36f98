"""Which rows come when, what is in a batch, and going on in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtune.batching import EvalOrder, Loader, TrainOrder
from seqtune.tasks.recommend.batches import (
    EvalBatch,
    Spans,
    eval_batches,
    sequence_batches,
    training_spans,
)
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.tasks.recommend.models.transformer_config import TransformerConfig
from seqtune.tasks.recommend.params import RecommendConfig

LENGTHS = np.random.default_rng(0).geometric(0.02, 1003).clip(1, 200)


def order(epoch: int = 0, **options: int) -> TrainOrder:
    made = TrainOrder(LENGTHS, **{"batch_size": 16, "seed": 1, **options})
    made.set_epoch(epoch)
    return made


def ids(batches: Sequence[np.ndarray]) -> list[int]:
    return np.concatenate(batches).tolist()


class TestSpans:
    def test_last_items_padded_on_the_left(self) -> None:
        spans = Spans(np.arange(10, 20, dtype=np.int32), np.array([0, 4, 6]), np.array([4, 5, 10]))
        padded = spans.last(3).padded(np.array([1, 0, 2]))
        assert padded.tolist() == [[0, 0, 14], [11, 12, 13], [17, 18, 19]]
        assert padded.dtype == np.int32

    def test_flat_items_with_their_rows(self) -> None:
        spans = Spans(np.arange(10, 20, dtype=np.int32), np.array([0, 4, 6]), np.array([2, 4, 9]))
        rows, items = spans.flat(np.array([2, 1, 0]))
        assert rows.tolist() == [0, 0, 0, 2, 2]
        assert items.tolist() == [16, 17, 18, 10, 11]

    def test_an_empty_sequence_is_padding_only(self) -> None:
        spans = Spans(np.arange(3, dtype=np.int32), np.array([1]), np.array([1]))
        assert spans.padded(np.array([0])).tolist() == [[0]]


class TestTrainOrder:
    def test_every_sequence_exactly_once_an_epoch(self) -> None:
        for epoch in range(3):
            assert sorted(ids(order(epoch).batches())) == list(range(1003))

    def test_a_function_of_seed_and_epoch(self) -> None:
        def as_lists(made: TrainOrder) -> list[list[int]]:
            return [batch.tolist() for batch in made.batches()]

        assert as_lists(order(3)) == as_lists(order(3))
        assert as_lists(order(3)) != as_lists(order(4))
        assert as_lists(order(3)) != as_lists(order(3, seed=2))

    def test_batches_are_of_like_length_and_their_neighbours_change(self) -> None:
        spread = [np.ptp(LENGTHS[batch]) for batch in order().batches()]
        assert np.median(spread) < 0.1 * LENGTHS.mean()
        companions = [
            next(set(batch.tolist()) for batch in order(epoch).batches() if 7 in batch)
            for epoch in (0, 1)
        ]
        assert companions[0] != companions[1]

    def test_long_and_short_batches_come_in_random_order(self) -> None:
        means = np.array([LENGTHS[batch].mean() for batch in order().batches()])
        assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3

    def test_sizes_differ_by_at_most_one(self) -> None:
        sizes = {len(batch) for batch in order().batches()}
        assert max(sizes) <= 16
        assert max(sizes) - min(sizes) <= 1

    def test_many_pieces(self) -> None:
        made = TrainOrder(LENGTHS, batch_size=2, seed=1)
        assert sorted(ids(made.batches())) == list(range(1003))


class TestEvalOrder:
    @pytest.mark.parametrize("world_size", [1, 3])
    def test_everyone_once_longest_first(self, world_size: int) -> None:
        of_ranks = [
            EvalOrder(LENGTHS, batch_size=10, rank=rank, world_size=world_size).batches()
            for rank in range(world_size)
        ]
        assert len({len(batches) for batches in of_ranks}) == 1
        assert sorted(ids([batch for batches in of_ranks for batch in batches])) == list(
            range(1003)
        )
        assert LENGTHS[of_ranks[0][0]].min() >= LENGTHS[of_ranks[0][-1]].max()

    def test_nobody(self) -> None:
        assert EvalOrder(LENGTHS[:0], batch_size=10).batches() == []


class TestTrainingData:
    def test_windows_are_the_last_items_of_the_training_part(self, tiny_split: SplitData) -> None:
        spans = training_spans(tiny_split, TransformerConfig(max_len=4))
        rows = [spans.padded(np.array([row]))[0].tolist() for row in range(len(spans))]
        assert rows == [[2, 3, 4, 5], [2, 3], [7], [1, 2, 3, 4], [8, 1, 2], [5, 6, 7, 8]]

    def test_users_without_a_training_item_are_left_out(
        self, make_split: Callable[..., SplitData]
    ) -> None:
        split = make_split([(1, 2), (1, 2, 3)])
        assert len(training_spans(split, TransformerConfig(max_len=4))) == 1

    @pytest.mark.parametrize("step", [1, 2, 3])
    def test_older_windows_reach_back_to_the_oldest_item(
        self, make_split: Callable[..., SplitData], step: int
    ) -> None:
        split = make_split([range(1, 12), (5, 6, 7), range(1, 7)])  # 9, 1 and 4 to train on
        spans = training_spans(split, TransformerConfig(max_len=4, window_step=step))
        rows = [
            spans.items[slice(*ends)].tolist()
            for ends in zip(spans.starts, spans.ends, strict=True)
        ]
        whole = list(range(1, 10))
        windows = [whole[max(end - 4, 0) : end] for end in range(9, 4 - step, -step)]
        assert rows == [*windows, [5], [1, 2, 3, 4]]
        assert windows[-1][0] == 1

    def test_a_single_item_has_no_next_one(self, tiny_split: SplitData) -> None:
        spans = training_spans(tiny_split, TransformerConfig(max_len=4, objective="causal"))
        assert spans.lengths.tolist() == [4, 2, 4, 3, 4]

    def test_no_held_out_item_is_trained_on(
        self, tiny_split: SplitData, tiny_config: RecommendConfig
    ) -> None:
        loader = RecommendData(tiny_config, tiny_split).train_dataloader()
        trained = sorted(tuple(row[row > 0].tolist()) for batch in loader for row in batch)
        parts = [
            tuple(tiny_split.items[start : start + end].tolist())[-8:]
            for start, end in zip(tiny_split.offsets, tiny_split.train_end, strict=False)
        ]
        assert trained == sorted(parts)


class TestEvalBatches:
    def rows(self, split: SplitData, part: str, max_len: int = 4) -> dict[int, EvalBatch]:
        """One batch for each user."""
        found = {}
        for batch in eval_batches(split, part, max_len=max_len, batch_size=1):
            found[int(batch.users[0])] = batch
        return found

    def test_valid(self, tiny_split: SplitData) -> None:
        batch = self.rows(tiny_split, "valid")[0]
        assert batch.inputs.tolist() == [[3, 4, 5, 9]]
        assert batch.targets.tolist() == [6]
        assert batch.seen_items.tolist() == [1, 2, 3, 4, 5]  # also older than max_len
        assert [tensor.dtype for tensor in batch] == [
            torch.int64,
            torch.int32,
            torch.int64,
            torch.int64,
            torch.int64,
        ]

    def test_the_validation_item_is_history_of_the_test_item(self, tiny_split: SplitData) -> None:
        batch = self.rows(tiny_split, "test")[2]
        assert batch.inputs.tolist() == [[7, 6, 9]]
        assert batch.targets.tolist() == [5]

    def test_next_sees_everything_and_has_no_target(self, tiny_split: SplitData) -> None:
        batch = self.rows(tiny_split, "next")[1]
        assert batch.inputs.tolist() == [[3, 4, 5, 9]]
        assert batch.targets.tolist() == [0]
        assert batch.seen_items.tolist() == [2, 3, 4, 5]

    def test_batches_together_are_the_users_one_by_one(self, tiny_split: SplitData) -> None:
        single = self.rows(tiny_split, "test")
        batches = list(eval_batches(tiny_split, "test", max_len=4, batch_size=4))
        assert [len(batch.users) for batch in batches] == [3, 3]
        for batch in batches:
            for row, user in enumerate(batch.users.tolist()):
                alone = single[user]
                width = alone.inputs.shape[1]
                assert batch.inputs[row, -width:].tolist() == alone.inputs[0].tolist()
                assert not batch.inputs[row, :-width].any()
                seen = batch.seen_items[batch.seen_rows == row]
                assert seen.tolist() == alone.seen_items.tolist()
                assert int(batch.targets[row]) == int(alone.targets)

    def test_users_without_a_target_are_left_out(
        self, make_split: Callable[..., SplitData]
    ) -> None:
        split = make_split([(1, 2, 3)], validated=False)
        assert list(eval_batches(split, "valid", max_len=4, batch_size=2)) == []
        assert len(list(eval_batches(split, "next", max_len=4, batch_size=2))) == 1

    def test_sequences_from_elsewhere(self) -> None:
        items = np.array([5, 6, 7, 1], dtype=np.int32)
        (batch,) = sequence_batches(
            items, np.array([0, 3, 3, 4]), mask_token=9, max_len=3, batch_size=8
        )
        assert batch.users.tolist() == [0, 2, 1]
        assert batch.inputs.tolist() == [[6, 7, 9], [0, 1, 9], [0, 0, 9]]
        assert batch.seen_rows.tolist() == [0, 0, 0, 1]
        assert batch.seen_items.tolist() == [5, 6, 7, 1]


class Numbers:
    """Batches that are the rows themselves."""

    def __getitem__(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows)


class TestLoader:
    def loader(self, **options: int) -> Loader[torch.Tensor]:
        return Loader(Numbers(), TrainOrder(LENGTHS, batch_size=64, seed=1), **options)

    def as_lists(self, loader: Loader[torch.Tensor]) -> list[list[int]]:
        return [batch.tolist() for batch in loader]

    @pytest.mark.parametrize("position", [0, 1, 7, 15])
    def test_resumes_at_any_batch(self, position: int) -> None:
        whole, first, second = self.loader(), self.loader(), self.loader()
        for loader in (whole, first, second):
            loader.sampler.set_epoch(2)
        iterator = iter(first)
        begun = [next(iterator).tolist() for _ in range(position)]
        second.load_state_dict(first.state_dict())
        assert len(second) == len(whole) == 16
        assert begun + self.as_lists(second) == self.as_lists(whole)

    def test_the_epoch_after_a_resumed_one_is_whole(self) -> None:
        loader = self.loader()
        loader.load_state_dict({"position": 10})
        assert len(self.as_lists(loader)) == 6
        assert len(self.as_lists(loader)) == 16

    def test_a_state_after_the_last_batch_is_the_start_of_an_epoch(self) -> None:
        first, second = self.loader(), self.loader()
        self.as_lists(first)
        second.load_state_dict(first.state_dict())
        assert len(self.as_lists(second)) == 16

    def test_the_epoch_may_be_told_after_iter(self) -> None:
        loader, expected = self.loader(), self.loader()
        iterator = iter(loader)
        loader.sampler.set_epoch(5)
        expected.sampler.set_epoch(5)
        assert [batch.tolist() for batch in iterator] == self.as_lists(expected)

    def test_workers_change_nothing(
        self, tiny_split: SplitData, tiny_config: RecommendConfig
    ) -> None:
        training = tiny_config.training.model_copy(update={"num_workers": 2})
        with_workers = tiny_config.model_copy(update={"training": training})
        batches = [
            list(RecommendData(config, tiny_split).train_dataloader())
            for config in (tiny_config, with_workers)
        ]
        assert len(batches[0]) == 2
        for ours, theirs in zip(*batches, strict=True):
            assert torch.equal(ours, theirs)

    def test_no_validation_no_loader(
        self, make_split: Callable[..., SplitData], tiny_config: RecommendConfig
    ) -> None:
        split = make_split([(1, 2, 3)], validated=False)
        assert RecommendData(tiny_config, split).val_dataloader() == []


def test_share_of_real_tokens_on_movielens(shared_data: Path) -> None:
    lines = (shared_data / "recommend" / "ml-1m.txt").read_text().split()
    counts = np.bincount(np.array(lines[::2], dtype=np.int64))
    lengths = np.minimum(counts[counts > 0] - 2, 200)
    made = TrainOrder(lengths, batch_size=128, seed=42)
    for epoch in range(3):
        made.set_epoch(epoch)
        padded = sum(len(batch) * lengths[batch].max() for batch in made.batches())
        assert lengths.sum() / padded >= 0.95
