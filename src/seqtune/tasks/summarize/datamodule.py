"""The loaders of a split: what is trained on, what is summarised, and what a loss is taken of."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningDataModule

from seqtune.batching import EvalOrder, Loader, Rows, TrainOrder, place_among_ranks
from seqtune.text.pretrained import load_config
from seqtune.text.split import Part

from .batches import TrainBatch, TrainBatches, WriteBatches
from .data import SummarizeData
from .encoding import pairs
from .model import kind_of, plain_tokenizer, source
from .params import SummarizeConfig


class DialogueLoaders(LightningDataModule):
    """Loaders of a split.

    For validation: a sample to summarise, then all rows for the loss, then (for the gap between
    the two) a sample of what was trained on, to summarise as well.
    """

    def __init__(self, config: SummarizeConfig, data: SummarizeData) -> None:
        super().__init__()
        self._config = config
        self._data = data
        folder = source(config)
        self._kind = kind_of(config, load_config(folder))
        self._pad = int(plain_tokenizer(folder, self._kind).pad_token_id)

    def train_dataloader(self) -> Loader[TrainBatch]:
        of, training = pairs(self._config, self._data, "train"), self._config.training
        rank, world_size = place_among_ranks()
        order = TrainOrder(
            of.lengths,
            batch_size=training.batch_size,
            seed=self._config.seed,
            rank=rank,
            world_size=world_size,
        )
        batches = TrainBatches(of, kind=self._kind, pad=self._pad)
        return Loader(batches, order, num_workers=training.num_workers)

    def val_dataloader(self) -> list[Loader[Any]]:
        if not self._data.has_validation:
            return []
        evaluation = self._config.evaluation
        of = pairs(self._config, self._data, "valid")
        losses = TrainBatches(of, kind=self._kind, pad=self._pad)
        loaders: list[Loader[Any]] = [
            self._writing("valid", evaluation.max_rows),
            Loader(losses, self._order(of.lengths)),
        ]
        if evaluation.train_metric_rows:
            loaders.append(self._writing("train", evaluation.train_metric_rows))
        return loaders

    def _writing(self, part: Part, num_rows: int) -> Loader[Any]:
        inputs = pairs(self._config, self._data, part).inputs
        rows = self._data.sample(part, num_rows, seed=self._config.seed)
        batches = WriteBatches(inputs, rows, kind=self._kind, pad=self._pad)
        return Loader(batches, self._order(batches.lengths))

    def _order(self, lengths: Rows) -> EvalOrder:
        rank, world_size = place_among_ranks()
        size = self._config.evaluation.batch_size
        return EvalOrder(lengths, batch_size=size, rank=rank, world_size=world_size)
