"""Loaders that Lightning can resume in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader

from seqtune.core.config import TrainingConfig

from .order import EvalOrder, Lengths, Order, Rows, TrainOrder
from .ranks import place_among_ranks

BatchT = TypeVar("BatchT", covariant=True)


class Batches(Protocol[BatchT]):
    """Makes a batch of the given rows."""

    def __getitem__(self, rows: Rows) -> BatchT: ...


class Loader(Generic[BatchT]):
    """Iterates over the batches of an epoch, and can resume in the middle of one.

    Lightning calls `sampler.set_epoch`, saves `state_dict` after a step and, when it resumes
    within an epoch, calls `load_state_dict` once before `iter`. It may call `iter` before
    `set_epoch`, so the order is computed with the first batch.
    """

    def __init__(self, batches: Batches[BatchT], order: Order, *, num_workers: int = 0) -> None:
        self.sampler = order
        self.batch_sampler = None  # Lightning reads it if there is a sampler
        self._batches = batches
        self._num_workers = num_workers
        self._resume_at = 0
        self._position = 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[BatchT]:
        start, self._resume_at = self._resume_at, 0
        return self._iterate(start)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # a state saved after the last batch belongs to the start of the next epoch
        self._resume_at = self._position = int(state["position"]) % max(len(self), 1)

    def _iterate(self, start: int) -> Iterator[BatchT]:
        self._position = start
        for batch in self._load(self.sampler.batches()[start:]):
            self._position += 1
            yield batch

    def _load(self, rows_of_batches: Sequence[Rows]) -> Iterator[BatchT]:
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


def train_loader(
    batches: Batches[BatchT], lengths: Lengths, training: TrainingConfig, *, seed: int
) -> Loader[BatchT]:
    """Return the loader of this rank's training batches."""
    rank, world_size = place_among_ranks()
    order = TrainOrder(
        lengths,
        batch_size=training.batch_size,
        seed=seed,
        group_by_length=training.group_by_length,
        rank=rank,
        world_size=world_size,
    )
    return Loader(batches, order, num_workers=training.num_workers)


def eval_loader(batches: Batches[BatchT], lengths: Lengths, *, batch_size: int) -> Loader[BatchT]:
    """Return the loader of this rank's validation batches."""
    rank, world_size = place_among_ranks()
    order = EvalOrder(lengths, batch_size=batch_size, rank=rank, world_size=world_size)
    return Loader(batches, order)
