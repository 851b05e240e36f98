"""The loaders of a split for training, for generation and for the validation loss."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningDataModule

from seqtune.batching import Loader, eval_loader, train_loader
from seqtune.text.pretrained import load_config
from seqtune.text.split import Part

from .batches import TrainBatch, TrainBatches, WriteBatches, rows_at_once
from .data import SummarizeData
from .encoding import pairs, require_fit
from .model import kind_of, plain_tokenizer, source
from .params import SummarizeConfig


class DialogueLoaders(LightningDataModule):
    """Validation has a sample to summarise, all rows for the loss, and maybe a sample of train."""

    def __init__(self, config: SummarizeConfig, data: SummarizeData) -> None:
        super().__init__()
        self._config = config
        self._data = data
        folder = source(config)
        architecture = load_config(folder)
        self._kind = kind_of(config, architecture)
        self._num_tokens = int(architecture.vocab_size)
        self._pad = int(plain_tokenizer(folder, self._kind).pad_token_id)

    def train_dataloader(self) -> Loader[TrainBatch]:
        of = pairs(self._config, self._data, "train")
        batches = TrainBatches(of, kind=self._kind, pad=self._pad)
        return train_loader(batches, of.lengths, self._config.training, seed=self._config.seed)

    def val_dataloader(self) -> list[Loader[Any]]:
        if not self._data.has_validation:
            return []
        evaluation = self._config.evaluation
        of = pairs(self._config, self._data, "valid")
        losses = TrainBatches(of, kind=self._kind, pad=self._pad)
        longest = int(of.targets.lengths.max(initial=1))
        size = rows_at_once(evaluation.batch_size, longest=longest, num_tokens=self._num_tokens)
        loaders: list[Loader[Any]] = [
            self._write_loader("valid", evaluation.max_rows),
            eval_loader(losses, of.lengths, batch_size=size),
        ]
        if evaluation.train_metric_rows:
            loaders.append(self._write_loader("train", evaluation.train_metric_rows))
        return loaders

    def _write_loader(self, part: Part, num_rows: int) -> Loader[Any]:
        inputs = pairs(self._config, self._data, part).inputs
        rows = self._data.sample(part, num_rows, seed=self._config.seed)
        batches = WriteBatches(inputs, rows, kind=self._kind, pad=self._pad)
        size = self._config.evaluation.batch_size
        return eval_loader(batches, batches.lengths, batch_size=size)


def build_data(config: SummarizeConfig, data: SummarizeData) -> DialogueLoaders:
    """Build the loaders of a training; refuse dialogues that do not fit."""
    require_fit(config, data)
    return DialogueLoaders(config, data)
