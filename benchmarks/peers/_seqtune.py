"""Ours: `training.fit` in a thread that waits between epochs, on the same footing as the others."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _serving import TOP_K, Data, Json, Settings, Stopwatch, serve
from lightning.pytorch import LightningModule

from _movielens import write_split
from seqtune.core.checkpoint import Checkpoint
from seqtune.inference import MODEL
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.datamodule import RecommendData
from seqtune.tasks.recommend.ensemble import Scorer
from seqtune.tasks.recommend.loading import LoadedModel
from seqtune.tasks.recommend.module import build_module
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.tasks.recommend.sequences import ListRequest, Recommendations, Sequences, recommend
from seqtune.training import fit
from seqtune.training.precision import best_precision
from seqtune.training.silence_lightning import silence_lightning
from seqtune.training.trainer import build_trainer


class Training:
    """One `fit` without validation that goes on for an epoch whenever it is told to."""

    def __init__(self, config: RecommendConfig, data: SplitData) -> None:
        self.module: LightningModule | None = None
        self.watch = Stopwatch()
        self._config = config
        self._data = training_part(data)
        self._tell: queue.Queue[None] = queue.Queue()
        self._hear: queue.Queue[Json | BaseException] = queue.Queue()
        self._thread = threading.Thread(target=self._fit, daemon=True)

    def epoch(self) -> Json:
        """From the word to the next report: the state saved after an epoch is in the next one's."""
        self.watch.arm(None)
        start = time.perf_counter()
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._tell.put(None)
        found = self._hear.get()
        if isinstance(found, BaseException):
            raise found
        return {**self.watch.answer(found["loss"]), "seconds": time.perf_counter() - start}

    def _fit(self) -> None:
        spec = dataclasses.replace(TASK, build_module=self._build)
        try:
            fit(
                spec,
                self._config,
                self._data,
                directory=Path("fit"),
                fingerprint="peers",
                report=self._report,
                progress=False,
            )
        except BaseException as error:  # noqa: BLE001  # told to whoever waits
            self._hear.put(error)

    def _build(self, config: RecommendConfig, data: SplitData) -> LightningModule:
        self.module = build_module(config, data)
        self.watch.attach(self.module)
        return self.module

    def _report(self, _epoch: int, metrics: Mapping[str, float]) -> None:
        self._hear.put({"loss": metrics["train_loss"]})
        self._tell.get()


class Ours:
    def __init__(self, data: Data, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.raw_ids, numbers = np.unique(data.items, return_inverse=True)
        lengths = np.diff(data.offsets)
        self.data = write_split(
            Path("split"), items=numbers + 1, lengths=lengths, raw_ids=self.raw_ids
        )
        numbers_seen = [np.searchsorted(self.raw_ids, seen) + 1 for seen in data.train()]
        self.histories = Sequences(
            np.concatenate(numbers_seen).astype(np.int32),
            np.concatenate([[0], np.cumsum(lengths - 2)]),
        )
        self.config = configuration(settings)
        self.training = Training(self.config, self.data)
        self.last_seconds = 0.0

    def facts(self) -> Json:
        module = build_module(self.config, self.data)
        parameters = sum(p.numel() for p in module.parameters())
        precision = self.config.training.precision
        return {"items": self.data.num_items, "parameters": parameters, "precision": precision}

    def epoch(self, limit: float | None) -> Json:
        """`fit` ends no epoch early, so one that would not end in time is not begun."""
        if limit is not None and self.last_seconds > limit:
            return {"seconds": limit, "loss": float("nan"), "steps": 0, "sequences": 0}
        found = self.training.epoch()
        self.last_seconds = found["seconds"]
        return found

    def validate(self) -> Json:
        """What `fit` does after an epoch, by the same kind of Trainer."""
        module = self._trained()
        device: Any = self.config.training.accelerator
        with silence_lightning():
            trainer = build_trainer(
                self.config.training, device=device, callbacks=[], directory=Path(), validate=True
            )
            loaders = RecommendData(self.config, self.data).val_dataloader()
            found = trainer.validate(module, loaders, verbose=False)[0]
        metrics = {"ndcg@10": found["val_ndcg@10"], "hit@10": found["val_hit@10"]}
        return {**metrics, "users": int((self.data.valid_at >= 0).sum())}

    def recommend(self) -> Recommendations:
        nowhere: Checkpoint = None  # type: ignore[assignment]
        device = torch.device(self.config.training.accelerator)
        network = self._trained().model.to(device).eval()
        member = LoadedModel(nowhere, "best", self.config, device, network)
        loaded = Scorer(Path(), {MODEL: member})
        size = self.config.evaluation.batch_size
        wanted = ListRequest(top_k=TOP_K, batch_size=size)
        return recommend(loaded, self.data.train_counts, self.histories, wanted)

    def lists(self, recommended: Recommendations) -> np.ndarray:
        return self.raw_ids[recommended.items - 1]

    def _trained(self) -> Any:
        """A module of its own, as the Trainer of the training holds on to the one in training."""
        module = build_module(self.config, self.data)
        assert self.training.module is not None, "an epoch comes first"
        module.load_state_dict(self.training.module.state_dict())
        return module


def training_part(data: SplitData) -> SplitData:
    """Nothing to validate: the others are timed without validation too."""
    nobody = np.full(data.num_users, -1, dtype=np.int32)
    return dataclasses.replace(data, valid_at=nobody, test_at=nobody)


def configuration(settings: Settings) -> RecommendConfig:
    device: Any = settings.device
    model = {
        "hidden_units": settings.hidden,
        "num_heads": settings.heads,
        "num_layers": settings.layers,
        "max_len": settings.length,
        "dropout_rate": settings.dropout,
        "attention_dropout": settings.options.get("attention_dropout", "yes") == "yes",
        "random_mask_prob": settings.mask,
        "last_item_mask_ratio": settings.last_item,
    }
    training = {
        "epochs": 100_000,
        "batch_size": settings.batch,
        "lr": settings.lr,
        "num_threads": settings.threads,
        "accelerator": settings.device,
        "precision": settings.options.get("precision", best_precision(device)[0]),
    }
    evaluation = {"ks": (10,), "batch_size": settings.eval_batch, "train_metric_users": 0}
    return RecommendConfig.model_validate(
        {"seed": settings.seed, "model": model, "training": training, "evaluation": evaluation}
    )


if __name__ == "__main__":
    serve(Ours)
