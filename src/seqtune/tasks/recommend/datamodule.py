"""Loaders that Lightning can stop and go on with in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from seqtune.contracts.seeds import derive_seed

from .batches import (
    EvalBatch,
    EvalBatches,
    TrainBatches,
    evaluation,
    training_sample,
    training_spans,
)
from .data import SplitData
from .order import EvalOrder, Order, Rows, TrainOrder
from .params import RecommendConfig

BatchT = TypeVar("BatchT", covariant=True)


class Batches(Protocol[BatchT]):
    """Makes one batch of the rows it is given."""

    def __getitem__(self, rows: Rows) -> BatchT: ...


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

    def val_dataloader(self) -> list[Loader[EvalBatch]]:
        """The held-out items, then (for the gap between the two) a sample of those trained on."""
        if not self._data.has_validation:
            return []
        max_len = self._config.model.max_len
        loaders = [self._eval_loader(evaluation(self._data, "valid", max_len=max_len))]
        if num_users := self._config.evaluation.train_metric_users:
            random = np.random.default_rng(derive_seed(self._config.seed, "train metric"))
            sample = training_sample(
                self._data, num_users=num_users, max_len=max_len, generator=random
            )
            if len(sample.histories):
                loaders.append(self._eval_loader(sample))
        return loaders

    def _eval_loader(self, batches: EvalBatches) -> Loader[EvalBatch]:
        rank, world_size = _place()
        order = EvalOrder(
            batches.histories.lengths,
            batch_size=self._config.evaluation.batch_size,
            rank=rank,
            world_size=world_size,
        )
        return Loader(batches, order)


def _place() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
