"""RePlay: its Lightning module with its data sets, callbacks and filter of seen items."""

from __future__ import annotations

import logging
import warnings
from typing import Any

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from _serving import TOP_K, Data, Json, Settings, Stopwatch, serve, synchronizer  # noqa: E402
from lightning import Callback, Trainer, seed_everything  # noqa: E402
from replay.data import FeatureHint, FeatureSource, FeatureType  # noqa: E402
from replay.data.nn import (  # noqa: E402
    PandasSequentialDataset,
    TensorFeatureInfo,
    TensorFeatureSource,
    TensorSchema,
)
from replay.models.nn.optimizer_utils import FatOptimizerFactory  # noqa: E402
from replay.models.nn.sequential import Bert4Rec  # noqa: E402
from replay.models.nn.sequential.bert4rec import (  # noqa: E402
    Bert4RecPredictionDataset,
    Bert4RecTrainingDataset,
    Bert4RecValidationDataset,
)
from replay.models.nn.sequential.callbacks import (  # noqa: E402
    TorchPredictionCallback,
    ValidationMetricsCallback,
)
from replay.models.nn.sequential.postprocessors import RemoveSeenItems  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

USER, ITEM = "user_id", "item_id"


class RePlay:
    def __init__(self, data: Data, settings: Settings) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        seed_everything(settings.seed)
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.catalogue = data.catalogue
        self.schema = schema(len(self.catalogue), settings.hidden)
        self.history = self._sequences(data.train())
        self.held_out = self._sequences(list(data.valid[:, None]))
        self.model = build_model(self.schema, settings)
        optimizer = self.model.configure_optimizers()
        # every `fit` asks for one: a new one would forget what Adam knows
        self.model.configure_optimizers = lambda: optimizer
        self.watch = Stopwatch(synchronizer(settings.device))
        self.watch.attach(self.model)
        training = Bert4RecTrainingDataset(
            self.history, max_sequence_length=settings.length, mask_prob=settings.mask
        )
        self.loader = DataLoader(training, batch_size=settings.batch, shuffle=True)
        self.trainer = self._trainer([])
        self.trainer.fit_loop.max_epochs = 0

    def facts(self) -> Json:
        parameters = sum(p.numel() for p in self.model.parameters())
        return {"items": len(self.catalogue), "parameters": parameters}

    def epoch(self, limit: float | None) -> Json:
        self.watch.arm(limit)
        self.trainer.fit_loop.max_epochs = (self.trainer.fit_loop.max_epochs or 0) + 1
        self.trainer.fit(self.model, self.loader)
        return self.watch.answer(float(self.trainer.callback_metrics["train_loss_epoch"]))

    def validate(self) -> Json:
        sequences = Bert4RecValidationDataset(
            self.history, self.held_out, self.history, max_sequence_length=self.settings.length
        )
        counting = ValidationMetricsCallback(
            metrics=["ndcg", "recall"], ks=[TOP_K], postprocessors=[RemoveSeenItems(self.history)]
        )
        found = self._trainer([counting]).validate(
            self.model, self._in_order(sequences), verbose=False
        )[0]
        metrics = {"ndcg@10": found["ndcg@10"], "hit@10": found["recall@10"]}
        return {**metrics, "users": len(sequences)}

    def recommend(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        sequences = Bert4RecPredictionDataset(
            self.history, max_sequence_length=self.settings.length
        )
        callback = TorchPredictionCallback(TOP_K, postprocessors=[RemoveSeenItems(self.history)])
        self._trainer([callback]).predict(
            self.model, self._in_order(sequences), return_predictions=False
        )
        found: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = callback.get_result()
        return found

    def lists(self, recommended: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> np.ndarray:
        users, items, _ = recommended
        found: np.ndarray = self.catalogue[items[users.argsort()].numpy()]
        return found

    def _trainer(self, callbacks: list[Callback]) -> Trainer:
        return Trainer(
            max_epochs=1,
            accelerator=self.settings.device,
            devices=1,
            precision=self.settings.options.get("precision", "32-true"),
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    def _in_order(self, sequences: Dataset[Any]) -> DataLoader[Any]:
        return DataLoader(sequences, batch_size=self.settings.eval_batch)

    def _sequences(self, sequences: list[np.ndarray]) -> PandasSequentialDataset:
        numbered = [np.searchsorted(self.catalogue, sequence) for sequence in sequences]
        table = pd.DataFrame({USER: np.arange(len(numbered)), ITEM: numbered})
        return PandasSequentialDataset(self.schema, USER, ITEM, table)


def schema(num_items: int, hidden: int) -> TensorSchema:
    return TensorSchema(
        TensorFeatureInfo(
            name=ITEM,
            cardinality=num_items,
            padding_value=0,
            is_seq=True,
            feature_type=FeatureType.CATEGORICAL,
            feature_hint=FeatureHint.ITEM_ID,
            feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, ITEM)],
            embedding_dim=hidden,
        )
    )


def build_model(items: TensorSchema, settings: Settings) -> Bert4Rec:
    return Bert4Rec(
        items,
        block_count=settings.layers,
        head_count=settings.heads,
        hidden_size=settings.hidden,
        max_seq_len=settings.length,
        dropout_rate=settings.dropout,
        enable_embedding_tying=True,
        loss_type=settings.options.get("loss", "CE"),
        optimizer_factory=FatOptimizerFactory(learning_rate=settings.lr),
    )


if __name__ == "__main__":
    serve(RePlay)
