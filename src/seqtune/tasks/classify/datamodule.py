"""The loaders of a split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from lightning.pytorch import LightningDataModule

from seqtune.batching import Loader, eval_loader, train_loader
from seqtune.core.seeds import derive_seed
from seqtune.text.pretrained import load_config
from seqtune.text.split import Part

from .batches import AnyBatch, TextBatches, VectorBatches
from .data import ClassifyData, model_folder
from .params import ClassifyConfig
from .vectors import text_vectors


class ClassifyLoaders(LightningDataModule):
    """Training and validation loaders of a split."""

    def __init__(self, config: ClassifyConfig, data: ClassifyData) -> None:
        super().__init__()
        self._config = config
        self._data = data

    def train_dataloader(self) -> Loader[AnyBatch]:
        batches = part_batches(self._data, "train", self._config)
        training = self._config.training
        return train_loader(batches, batches.lengths, training, seed=self._config.seed)

    def val_dataloader(self) -> list[Loader[AnyBatch]]:
        """Load valid, then a sample of the fit part to show the gap between the two."""
        if not self._data.has_validation:
            return []
        evaluation = self._config.evaluation
        found = [part_batches(self._data, "valid", self._config)]
        if num_rows := evaluation.train_metric_rows:
            chosen = training_sample(self._data, num_rows=num_rows, seed=self._config.seed)
            found.append(part_batches(self._data, "train", self._config, chosen=chosen))
        size = evaluation.batch_size
        return [eval_loader(batches, batches.lengths, batch_size=size) for batches in found]


def build_data(config: ClassifyConfig, data: ClassifyData) -> ClassifyLoaders:
    """Build the loaders of a training."""
    return ClassifyLoaders(config, data)


def part_batches(
    data: ClassifyData,
    part: Part,
    config: ClassifyConfig,
    *,
    chosen: npt.NDArray[np.int64] | None = None,
) -> TextBatches | VectorBatches:
    """Build the batches of a part for a model; of vectors, where its encoder never changes."""
    targets, model = data.targets(part), config.model
    if model.freeze_encoder:
        return VectorBatches(text_vectors(data, part, config), targets, chosen=chosen)
    pad = load_config(model_folder(model)).pad_token_id or 0
    return TextBatches(data.tokens(part, model), targets, pad=pad, chosen=chosen)


def training_sample(data: ClassifyData, *, num_rows: int, seed: int) -> npt.NDArray[np.int64]:
    """Return original rows of train: all, or a sample of `num_rows`."""
    random = np.random.default_rng(derive_seed(seed, "train metric"))
    own = np.flatnonzero(~data.is_augmented)
    return np.sort(random.permutation(own)[:num_rows])
