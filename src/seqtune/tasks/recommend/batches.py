"""Batches out of the memory-mapped split: one vectorised gather each, nothing else in memory.

Shapes: B batch, T time, S seen items, N rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqtune.batching import EvalOrder, Rows

from .data import Int32, Int64, SplitData
from .models.config import ModelConfig

Part = Literal["valid", "test", "next"]
SCORES_AT_ONCE = 6 << 20
"""Of a batch: with more, the allocator fetches fresh pages for each batch, which takes as long as
computing them."""
FEWEST_USERS = 16


def users_at_once(batch_size: int, *, num_items: int) -> int:
    """Users that are scored together: `batch_size`, or fewer where the catalogue is large."""
    return min(batch_size, max(SCORES_AT_ONCE // num_items, FEWEST_USERS))


class EvalBatch(NamedTuple):
    """Histories to score."""

    users: Tensor  # int64 [B]
    inputs: Tensor  # int32 [B, T], the last max_len - 1 items, then [MASK]
    targets: Tensor  # int64 [B], 0 where there is none
    seen_rows: Tensor  # int64 [S], row in the batch of each item of a history
    seen_items: Tensor  # int64 [S], that item, also where it is older than max_len


@dataclass(frozen=True)
class Spans:
    """Pieces items[starts[i] : ends[i]] of a flat array, each a sequence."""

    items: Int32
    starts: Int64
    ends: Int64

    @property
    def lengths(self) -> Int64:
        return self.ends - self.starts

    def __len__(self) -> int:
        return len(self.starts)

    def last(self, count: int) -> Spans:
        """The same sequences cut to their last `count` items."""
        return Spans(self.items, np.maximum(self.starts, self.ends - count), self.ends)

    def padded(self, rows: Rows) -> Int32:
        """Sequences of some rows as [B, T], padded with 0 on the left; T at least 1."""
        ends, lengths = self.ends[rows], self.lengths[rows]
        time = max(1, int(lengths.max(initial=0)))
        back = np.arange(time, 0, -1)  # [T], distance from the end
        places = np.maximum(ends[:, None] - back, 0)  # [B, T]
        return np.where(back <= lengths[:, None], self.items[places], np.int32(0))

    def flat(self, rows: Rows) -> tuple[Rows, Int32]:
        """(row within the batch, item) of all items of some rows, [S] each."""
        lengths = self.lengths[rows]
        batch_rows = np.repeat(np.arange(len(rows)), lengths)
        shifts = self.starts[rows] - (np.cumsum(lengths) - lengths)
        return batch_rows, self.items[np.arange(len(batch_rows)) + shifts[batch_rows]]


class TrainBatches(Dataset[Tensor]):
    """Item sequences int32 [B, T]."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def __getitem__(self, rows: Rows) -> Tensor:
        return torch.from_numpy(self._spans.padded(rows))


class EvalBatches(Dataset[EvalBatch]):
    """Histories with their targets."""

    def __init__(
        self, histories: Spans, *, users: Int64, targets: Int64, mask_token: int, max_len: int
    ) -> None:
        self.histories = histories
        self._inputs = histories.last(max_len - 1)
        self._users = users
        self._targets = targets
        self._mask_token = mask_token

    def __getitem__(self, rows: Rows) -> EvalBatch:
        seen_rows, seen_items = self.histories.flat(rows)
        masks = np.full((len(rows), 1), self._mask_token, dtype=np.int32)
        inputs = np.concatenate([self._inputs.padded(rows), masks], axis=1)
        return EvalBatch(
            users=torch.from_numpy(self._users[rows]),
            inputs=torch.from_numpy(inputs),
            targets=torch.from_numpy(self._targets[rows]),
            seen_rows=torch.from_numpy(seen_rows),
            seen_items=torch.from_numpy(seen_items.astype(np.int64)),
        )


def training_spans(data: SplitData, model: ModelConfig) -> Spans:
    """What training sees of every user who has enough to learn from: the last max_len items, and
    with `window_step` older windows too, the oldest of which may be shorter."""
    starts = np.asarray(data.offsets[:-1])
    ends = starts + data.train_end
    some = data.train_end >= model.shortest_sequence
    starts, ends = starts[some], ends[some]
    if model.window_step:
        beyond = np.maximum(ends - starts - model.max_len, 0)
        windows = 1 + -(-beyond // model.window_step)  # of each user
        back = np.arange(windows.sum()) - np.repeat(np.cumsum(windows) - windows, windows)
        starts, ends = np.repeat(starts, windows), np.repeat(ends, windows)
        ends = ends - back * model.window_step
    return Spans(np.asarray(data.items), starts, ends).last(model.max_len)


def evaluation(data: SplitData, part: Part, *, max_len: int) -> EvalBatches:
    """The users of a part: everything before the target, and the target."""
    items, starts = np.asarray(data.items), np.asarray(data.offsets[:-1])
    if part == "next":
        users = np.arange(data.num_users)
        ends = np.asarray(data.offsets[1:])
        targets = np.zeros(data.num_users, dtype=np.int64)
    else:
        at = data.valid_at if part == "valid" else data.test_at
        users = np.flatnonzero(at >= 0)
        starts = starts[users]
        ends = starts + at[users]
        targets = items[ends].astype(np.int64)
    return EvalBatches(
        Spans(items, starts, ends),
        users=users,
        targets=targets,
        mask_token=data.mask_token,
        max_len=max_len,
    )


def training_sample(
    data: SplitData, *, num_users: int, max_len: int, generator: np.random.Generator
) -> EvalBatches:
    """The last item that training sees of some users, and everything before it; all users who
    have two such items, or `num_users` drawn from them."""
    items, starts = np.asarray(data.items), np.asarray(data.offsets[:-1])
    able = np.flatnonzero(data.train_end > 1)
    users = np.sort(generator.permutation(able)[:num_users])
    ends = starts[users] + data.train_end[users] - 1
    return EvalBatches(
        Spans(items, starts[users], ends),
        users=users,
        targets=items[ends].astype(np.int64),
        mask_token=data.mask_token,
        max_len=max_len,
    )


def eval_batches(
    data: SplitData, part: Part, *, max_len: int, batch_size: int
) -> Iterator[EvalBatch]:
    """All users of a part, longest histories first."""
    batch_size = users_at_once(batch_size, num_items=data.num_items)
    yield from _in_order(evaluation(data, part, max_len=max_len), batch_size=batch_size)


def sequence_batches(
    items: Int32, offsets: Int64, *, mask_token: int, max_len: int, batch_size: int
) -> Iterator[EvalBatch]:
    """Sequences from elsewhere (new users), the same way; `users` counts them from 0."""
    batches = EvalBatches(
        Spans(items, offsets[:-1], offsets[1:]),
        users=np.arange(len(offsets) - 1),
        targets=np.zeros(len(offsets) - 1, dtype=np.int64),
        mask_token=mask_token,
        max_len=max_len,
    )
    yield from _in_order(batches, batch_size=batch_size)


def _in_order(batches: EvalBatches, *, batch_size: int) -> Iterator[EvalBatch]:
    order = EvalOrder(batches.histories.lengths, batch_size=batch_size)
    return (batches[rows] for rows in order.batches())
