"""The loaders of a split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from lightning.pytorch import LightningDataModule

from seqtune.batching import EvalOrder, Loader, TrainOrder, place_among_ranks
from seqtune.contracts.seeds import derive_seed
from seqtune.text.pretrained import load_config
from seqtune.text.split import Part

from .batches import Batch, TextBatches
from .data import ClassifyData, model_folder
from .params import ClassifyConfig, ModelConfig


class ClassifyLoaders(LightningDataModule):
    """Training and validation loaders of a split."""

    def __init__(self, config: ClassifyConfig, data: ClassifyData) -> None:
        super().__init__()
        self._config = config
        self._data = data

    def train_dataloader(self) -> Loader[Batch]:
        batches = texts_of(self._data, "train", self._config.model)
        rank, world_size = place_among_ranks()
        order = TrainOrder(
            batches.lengths,
            batch_size=self._config.training.batch_size,
            seed=self._config.seed,
            rank=rank,
            world_size=world_size,
        )
        return Loader(batches, order, num_workers=self._config.training.num_workers)

    def val_dataloader(self) -> list[Loader[Batch]]:
        """What was held out, then (for the gap between the two) a sample of the fit part."""
        if not self._data.has_validation:
            return []
        model = self._config.model
        loaders = [self._eval_loader(texts_of(self._data, "valid", model))]
        if num_rows := self._config.evaluation.train_metric_rows:
            chosen = training_sample(self._data, num_rows=num_rows, seed=self._config.seed)
            loaders.append(self._eval_loader(texts_of(self._data, "train", model, chosen=chosen)))
        return loaders

    def _eval_loader(self, batches: TextBatches) -> Loader[Batch]:
        rank, world_size = place_among_ranks()
        order = EvalOrder(
            batches.lengths,
            batch_size=self._config.evaluation.batch_size,
            rank=rank,
            world_size=world_size,
        )
        return Loader(batches, order)


def texts_of(
    data: ClassifyData,
    part: Part,
    model: ModelConfig,
    *,
    chosen: npt.NDArray[np.int64] | None = None,
) -> TextBatches:
    """The texts of a part as a model reads them."""
    folder = model_folder(model)
    pad = load_config(folder).pad_token_id or 0
    return TextBatches(data.tokens(part, model), data.targets(part), pad=pad, chosen=chosen)


def training_sample(data: ClassifyData, *, num_rows: int, seed: int) -> npt.NDArray[np.int64]:
    """Rows of train that are no copies: all, or `num_rows` drawn from them."""
    random = np.random.default_rng(derive_seed(seed, "train metric"))
    own = np.flatnonzero(~data.is_augmented)
    return np.sort(random.permutation(own)[:num_rows])
