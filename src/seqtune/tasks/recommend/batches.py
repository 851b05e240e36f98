"""Batches from the memory-mapped split, one vectorised gather each.

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

Part = Literal["valid", "test"]
SCORES_AT_ONCE = 6 << 20
"""Scores of a batch; beyond it, mapping fresh pages for each batch takes as long as the scores."""
FEWEST_USERS = 16


def users_at_once(batch_size: int, *, num_items: int) -> int:
    """Return the users to score together: `batch_size`, or fewer if the catalogue is large."""
    return min(batch_size, max(SCORES_AT_ONCE // num_items, FEWEST_USERS))


class EvalBatch(NamedTuple):
    """Histories to score."""

    users: Tensor  # int64 [B]
    inputs: Tensor  # int32 [B, T], the last max_len - 1 items, then [MASK]
    targets: Tensor  # int64 [B], 0 without a target
    seen_rows: Tensor  # int64 [S], row in the batch of each item of a history
    seen_items: Tensor  # int64 [S], that item, even if older than max_len

    def to(self, device: torch.device) -> EvalBatch:
        return EvalBatch(*(tensor.to(device) for tensor in self))


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
        """Return the same sequences cut to their last `count` items."""
        return Spans(self.items, np.maximum(self.starts, self.ends - count), self.ends)

    def padded(self, rows: Rows) -> Int32:
        """Return the sequences of some rows as [B, T], padded with 0 on the left; T at least 1."""
        ends, lengths = self.ends[rows], self.lengths[rows]
        time = max(1, int(lengths.max(initial=0)))
        back = np.arange(time, 0, -1)  # [T], distance from the end
        places = np.maximum(ends[:, None] - back, 0)  # [B, T]
        return np.where(back <= lengths[:, None], self.items[places], np.int32(0))

    def flat(self, rows: Rows) -> tuple[Rows, Int32]:
        """Return (row within the batch, item) of all items of some rows, [S] each."""
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
    """Return the last max_len training items of each user with a long enough sequence; with
    `window_step` also older windows, the oldest of which may be shorter."""
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
    """Return the users of a part: the target and everything before it."""
    at = data.valid_at if part == "valid" else data.test_at
    users = np.flatnonzero(at >= 0)
    return _before(data, users, at[users], max_len=max_len)


def training_sample(
    data: SplitData, *, num_users: int, max_len: int, generator: np.random.Generator
) -> EvalBatches:
    """Return the last training item and everything before it, for `num_users` random users (or
    all) with at least two training items."""
    able = np.flatnonzero(data.train_end > 1)
    users = np.sort(generator.permutation(able)[:num_users])
    return _before(data, users, data.train_end[users] - 1, max_len=max_len)


def _before(data: SplitData, users: Int64, at: Int32, *, max_len: int) -> EvalBatches:
    """Return the items at positions `at` of users' sequences, and everything before them."""
    items, starts = np.asarray(data.items), np.asarray(data.offsets[:-1])[users]
    return EvalBatches(
        Spans(items, starts, starts + at),
        users=users,
        targets=items[starts + at].astype(np.int64),
        mask_token=data.mask_token,
        max_len=max_len,
    )


def eval_batches(
    data: SplitData, part: Part, *, max_len: int, batch_size: int
) -> Iterator[EvalBatch]:
    """Iterate over all users of a part, longest histories first."""
    batch_size = users_at_once(batch_size, num_items=data.num_items)
    return _in_order(evaluation(data, part, max_len=max_len), batch_size=batch_size)


def sequence_batches(
    items: Int32, offsets: Int64, *, mask_token: int, max_len: int, batch_size: int
) -> Iterator[EvalBatch]:
    """Iterate over sequences without targets, longest first; `users` numbers them from 0."""
    batches = EvalBatches(
        Spans(items, offsets[:-1], offsets[1:]),
        users=np.arange(len(offsets) - 1),
        targets=np.zeros(len(offsets) - 1, dtype=np.int64),
        mask_token=mask_token,
        max_len=max_len,
    )
    return _in_order(batches, batch_size=batch_size)


def _in_order(batches: EvalBatches, *, batch_size: int) -> Iterator[EvalBatch]:
    order = EvalOrder(batches.histories.lengths, batch_size=batch_size)
    return (batches[rows] for rows in order.batches())
