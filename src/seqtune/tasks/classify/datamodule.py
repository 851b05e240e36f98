"""The loaders of a split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from lightning.pytorch import LightningDataModule

from seqtune.batching import Loader, eval_loader, train_loader
from seqtune.core.seeds import derive_seed
from seqtune.text.pretrained import load_config
from seqtune.text.split import Part

from .batches import TextBatch, TextBatches
from .data import ClassifyData, model_folder
from .params import ClassifyConfig, ModelConfig


class ClassifyLoaders(LightningDataModule):
    """Training and validation loaders of a split."""

    def __init__(self, config: ClassifyConfig, data: ClassifyData) -> None:
        super().__init__()
        self._config = config
        self._data = data

    def train_dataloader(self) -> Loader[TextBatch]:
        batches = part_batches(self._data, "train", self._config.model)
        training = self._config.training
        return train_loader(batches, batches.lengths, training, seed=self._config.seed)

    def val_dataloader(self) -> list[Loader[TextBatch]]:
        """Load valid, then a sample of the fit part to show the gap between the two."""
        if not self._data.has_validation:
            return []
        model, evaluation = self._config.model, self._config.evaluation
        found = [part_batches(self._data, "valid", model)]
        if num_rows := evaluation.train_metric_rows:
            chosen = training_sample(self._data, num_rows=num_rows, seed=self._config.seed)
            found.append(part_batches(self._data, "train", model, chosen=chosen))
        size = evaluation.batch_size
        return [eval_loader(batches, batches.lengths, batch_size=size) for batches in found]


def build_data(config: ClassifyConfig, data: ClassifyData) -> ClassifyLoaders:
    """Build the loaders of a training."""
    return ClassifyLoaders(config, data)


def part_batches(
    data: ClassifyData,
    part: Part,
    model: ModelConfig,
    *,
    chosen: npt.NDArray[np.int64] | None = None,
) -> TextBatches:
    """Build the batches of a part for a model."""
    pad = load_config(model_folder(model)).pad_token_id or 0
    return TextBatches(data.tokens(part, model), data.targets(part), pad=pad, chosen=chosen)


def training_sample(data: ClassifyData, *, num_rows: int, seed: int) -> npt.NDArray[np.int64]:
    """Return original rows of train: all, or a sample of `num_rows`."""
    random = np.random.default_rng(derive_seed(seed, "train metric"))
    own = np.flatnonzero(~data.is_augmented)
    return np.sort(random.permutation(own)[:num_rows])
