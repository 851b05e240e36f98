"""The loaders of a split; in a file of its own, as prediction reads batches without Lightning."""

from __future__ import annotations

import numpy as np
from lightning.pytorch import LightningDataModule
from torch import Tensor

from seqtune.batching import EvalOrder, Loader, TrainOrder, place_among_ranks
from seqtune.core.seeds import derive_seed

from .batches import (
    EvalBatch,
    EvalBatches,
    TrainBatches,
    evaluation,
    training_sample,
    training_spans,
    users_at_once,
)
from .data import SplitData
from .params import RecommendConfig


class RecommendData(LightningDataModule):
    """Training and validation loaders of a split."""

    def __init__(self, config: RecommendConfig, data: SplitData) -> None:
        super().__init__()
        self._config = config
        self._data = data

    def train_dataloader(self) -> Loader[Tensor]:
        spans = training_spans(self._data, self._config.model)
        rank, world_size = place_among_ranks()
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
        rank, world_size = place_among_ranks()
        order = EvalOrder(
            batches.histories.lengths,
            batch_size=users_at_once(
                self._config.evaluation.batch_size, num_items=self._data.num_items
            ),
            rank=rank,
            world_size=world_size,
        )
        return Loader(batches, order)
