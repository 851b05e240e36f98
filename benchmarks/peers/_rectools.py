"""RecTools: `fit_partial` for an epoch, `recommend` and `calc_metrics` for a validation."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from _serving import TOP_K, Data, Json, Settings, Stopwatch, serve, synchronizer
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import NDCG, HitRate, calc_metrics
from rectools.models import BERT4RecModel
from rectools.models.nn.transformers.lightning import TransformerLightningModule

WATCH = Stopwatch()


class Timed(TransformerLightningModule):  # type: ignore[misc]  # RecTools is not installed
    """Theirs, with a stopwatch."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        WATCH.attach(self)


class RecTools:
    def __init__(self, data: Data, settings: Settings) -> None:
        warnings.simplefilter("ignore")
        seed_everything(settings.seed)
        torch.set_num_threads(settings.threads)
        WATCH.__init__(synchronizer(settings.device))
        self.data = data
        self.length = settings.length
        self.users = np.arange(data.num_users)
        self.dataset = Dataset.construct(interactions(*data.users_and_items()))
        self.held_out = interactions(self.users, data.valid)
        self.model = build_model(settings)

    def facts(self) -> Json:
        """Items within reach of the model; its parameters are told by the first epoch."""
        known = np.concatenate([history[-self.length :] for history in self.data.train()])
        return {"items": len(np.unique(known))}

    def epoch(self, limit: float | None) -> Json:
        WATCH.arm(limit)
        self.model.fit_partial(self.dataset, min_epochs=1, max_epochs=1)
        loss = float(self.model.fit_trainer.callback_metrics["train_loss"])
        parameters = sum(p.numel() for p in self.model.torch_model.parameters())
        return {**WATCH.answer(loss), "parameters": parameters}

    def validate(self) -> Json:
        metrics = {"hit@10": HitRate(TOP_K), "ndcg@10": NDCG(TOP_K, divide_by_achievable=True)}
        found = calc_metrics(metrics, self.recommend(), self.held_out)
        return {**{name: float(value) for name, value in found.items()}, "users": len(self.users)}

    def recommend(self) -> pd.DataFrame:
        found: pd.DataFrame = self.model.recommend(
            self.users, self.dataset, k=TOP_K, filter_viewed=True
        )
        return found

    def lists(self, recommended: pd.DataFrame) -> np.ndarray:
        return lists_of(recommended, num_users=self.data.num_users)


def lists_of(recommended: pd.DataFrame, *, num_users: int) -> np.ndarray:
    """[U, 10]; 0, which is no item, where a list is shorter."""
    found = np.zeros((num_users, TOP_K), np.int64)
    places = recommended[Columns.User].to_numpy(), recommended[Columns.Rank].to_numpy() - 1
    found[places] = recommended[Columns.Item].to_numpy()
    return found


def interactions(users: np.ndarray, items: np.ndarray) -> pd.DataFrame:
    """In the order of the file, which stands for time."""
    times = pd.Timestamp(0) + pd.to_timedelta(np.arange(len(items)), unit="s")
    columns = {Columns.User: users, Columns.Item: items, Columns.Weight: 1.0}
    return pd.DataFrame({**columns, Columns.Datetime: times})


def trainer(device: str = "cpu", precision: Any = "32-true") -> Trainer:
    """For an epoch at a time, without files and output."""
    return Trainer(
        max_epochs=1,
        accelerator=device,
        devices=1,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def build_model(settings: Settings) -> BERT4RecModel:
    precision = settings.options.get("precision", "32-true")
    return BERT4RecModel(
        n_blocks=settings.layers,
        n_heads=settings.heads,
        n_factors=settings.hidden,
        session_max_len=settings.length,
        dropout_rate=settings.dropout,
        mask_prob=settings.mask,
        lr=settings.lr,
        batch_size=settings.batch,
        recommend_batch_size=settings.eval_batch,
        recommend_torch_device=settings.device,
        lightning_module_type=Timed,
        get_trainer_func=partial(trainer, settings.device, precision),
    )


if __name__ == "__main__":
    serve(RecTools)
