"""Batches out of the memory-mapped split: sequences of like length together, nothing copied.

Training order is a pure function of (seed, epoch): a random order, sorted by length (blurred a
little, so that neighbours change) within large pieces, cut into batches, whose order is random
again. A loader's position within that order is all there is to resume.

Shapes: B batch, T time, S seen items, N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from seqtune.contracts.seeds import derive_seed

from .data import Int32, Int64, SplitData
from .params import RecommendConfig

Part = Literal["valid", "test", "next"]
Rows = npt.NDArray[np.int64]
BatchT = TypeVar("BatchT", covariant=True)

BATCHES_PER_PIECE = 64
LENGTH_BLUR = 0.05


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


class Batches(Protocol[BatchT]):
    """Makes one batch of the rows it is given."""

    def __getitem__(self, rows: Rows) -> BatchT: ...


class Order(Protocol):
    """Says which rows make up which batch of an epoch."""

    def set_epoch(self, epoch: int) -> None: ...

    def batches(self) -> Sequence[Rows]: ...

    def __len__(self) -> int: ...


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


class TrainOrder:
    """Length-bucketed batches in a random order, each row once an epoch.

    Every rank gets equally many batches, and at one step batches of like length.
    """

    def __init__(
        self, lengths: Int64, *, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._steps = -(-len(lengths) // (batch_size * world_size))
        self._epoch = 0

    def __len__(self) -> int:
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def batches(self) -> list[Rows]:
        """This rank's batches of the epoch; sizes differ by at most one row."""
        random = np.random.default_rng(derive_seed(self._seed, "order", self._epoch))
        total = self._steps * self._world_size
        rows = random.permutation(len(self._lengths))
        if len(rows) < total:  # fewer rows than ranks: some are seen twice
            rows = np.resize(rows, total)
        cuts = np.arange(total + 1) * len(rows) // total
        rows = self._sorted_in_pieces(rows, cuts, random)
        steps = random.permutation(self._steps) * self._world_size + self._rank
        return [rows[cuts[batch] : cuts[batch + 1]] for batch in steps]

    def _sorted_in_pieces(self, rows: Rows, cuts: Rows, random: np.random.Generator) -> Rows:
        blurred = self._lengths[rows] * (1 + LENGTH_BLUR * random.random(len(rows)))
        piece_cuts = cuts[:: BATCHES_PER_PIECE * self._world_size]
        piece = np.searchsorted(piece_cuts, np.arange(len(rows)), side="right")
        ordered: Rows = rows[np.lexsort((blurred, piece))]
        return ordered


class EvalOrder:
    """Batches by length, longest first: if memory does not suffice, it shows at once."""

    def __init__(
        self, lengths: Int64, *, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._rows = np.argsort(-lengths, kind="stable")
        self._steps = -(-len(lengths) // (batch_size * world_size))
        self._rank = rank
        self._world_size = world_size

    def __len__(self) -> int:
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        """The same in every epoch."""

    def batches(self) -> list[Rows]:
        total = self._steps * self._world_size
        cuts = np.arange(total + 1) * len(self._rows) // max(total, 1)
        batches = np.arange(self._steps) * self._world_size + self._rank
        return [self._rows[cuts[batch] : cuts[batch + 1]] for batch in batches]


class Loader(Generic[BatchT]):
    """Iterates over the batches of an epoch, and can go on in the middle of one.

    Lightning calls `sampler.set_epoch`, saves `state_dict` after a step and, when it resumes
    within an epoch, calls `load_state_dict` once before `iter`. It may call `iter` before
    `set_epoch`; the order is therefore made when the first batch is asked for.
    """

    def __init__(self, batches: Batches[BatchT], order: Order, *, num_workers: int = 0) -> None:
        self.sampler = order
        self.batch_sampler = None  # Lightning looks for it wherever there is a sampler
        self._batches = batches
        self._num_workers = num_workers
        self._resume_at = 0
        self._position = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[BatchT]:
        start, self._resume_at = self._resume_at, 0
        return self._from(start)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # a state saved after the last batch belongs to the start of the next epoch
        self._resume_at = self._position = int(state["position"]) % max(len(self), 1)

    def _from(self, start: int) -> Iterator[BatchT]:
        self._position = start
        for batch in self._made(self.sampler.batches()[start:]):
            self._position += 1
            yield batch

    def _made(self, rows_of_batches: Sequence[Rows]) -> Iterator[BatchT]:
        if self._num_workers == 0:
            return (self._batches[rows] for rows in rows_of_batches)
        return iter(
            DataLoader(
                self._batches,  # type: ignore[arg-type]
                sampler=rows_of_batches,
                batch_size=None,
                num_workers=self._num_workers,
                generator=torch.Generator().manual_seed(0),
            )
        )


class RecommendData(LightningDataModule):
    """Training and validation loaders of a split."""

    def __init__(self, config: RecommendConfig, data: SplitData) -> None:
        super().__init__()
        self._config = config
        self._data = data

    def train_dataloader(self) -> Loader[Tensor]:
        spans = training_spans(self._data, max_len=self._config.model.max_len)
        rank, world_size = _place()
        order = TrainOrder(
            spans.lengths,
            batch_size=self._config.training.batch_size,
            seed=self._config.seed,
            rank=rank,
            world_size=world_size,
        )
        workers = self._config.training.num_workers
        return Loader(TrainBatches(spans), order, num_workers=workers)

    def val_dataloader(self) -> Loader[EvalBatch] | list[Any]:
        if not self._data.has_validation:
            return []
        batches = evaluation(self._data, "valid", max_len=self._config.model.max_len)
        rank, world_size = _place()
        order = EvalOrder(
            batches.histories.lengths,
            batch_size=self._config.evaluation.batch_size,
            rank=rank,
            world_size=world_size,
        )
        return Loader(batches, order)


def build_data(config: RecommendConfig, data: SplitData) -> RecommendData:
    return RecommendData(config, data)


def training_spans(data: SplitData, *, max_len: int) -> Spans:
    """The last max_len items that training sees of every user who has any."""
    starts = np.asarray(data.offsets[:-1])
    ends = starts + data.train_end
    some = data.train_end > 0
    return Spans(np.asarray(data.items), starts[some], ends[some]).last(max_len)


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


def eval_batches(
    data: SplitData, part: Part, *, max_len: int, batch_size: int
) -> Iterator[EvalBatch]:
    """All users of a part, longest histories first."""
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


def _place() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
