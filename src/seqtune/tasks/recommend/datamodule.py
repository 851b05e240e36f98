"""The loaders of a split; a separate module, so that prediction does not import Lightning."""

from __future__ import annotations

import numpy as np
from lightning.pytorch import LightningDataModule
from torch import Tensor

from seqtune.batching import Loader, eval_loader, train_loader
from seqtune.core.seeds import derive_seed

from .batches import (
    EvalBatch,
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
        config, spans = self._config, training_spans(self._data, self._config.model)
        return train_loader(TrainBatches(spans), spans.lengths, config.training, seed=config.seed)

    def val_dataloader(self) -> list[Loader[EvalBatch]]:
        """Return the held-out items, then (to show overfitting) a sample of the training items."""
        config, data = self._config, self._data
        if not data.has_validation:
            return []
        max_len = config.model.max_len
        found = [evaluation(data, "valid", max_len=max_len)]
        if num_users := config.evaluation.train_metric_users:
            random = np.random.default_rng(derive_seed(config.seed, "train metric"))
            sample = training_sample(data, num_users=num_users, max_len=max_len, generator=random)
            found += [sample] if len(sample.histories) else []
        size = users_at_once(config.evaluation.batch_size, num_items=data.num_items)
        return [eval_loader(some, some.histories.lengths, batch_size=size) for some in found]
