"""RecBole: `_train_epoch` and `evaluate` of its Trainer, `full_sort_scores` for lists.

One sample for each user instead of one for each prefix: RecBole takes sequences that were cut
outside of it (`benchmark_filename`, `alias_of_item_id`) as they are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _serving import TOP_K, Data, Json, Settings, serve
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.utils import get_model, init_seed
from recbole.utils.case_study import full_sort_scores

NAME = "sequences"
HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token"


class RecBole:
    def __init__(self, data: Data, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.histories = data.train()
        write_files(data, settings.length)
        self.config = configuration(settings)
        init_seed(self.config["seed"], self.config["reproducibility"])
        self.dataset = create_dataset(self.config)
        loaders = data_preparation(self.config, self.dataset)
        self.train_loader, self.valid_loader, _ = loaders
        self.model = get_model(self.config["model"])(self.config, self.train_loader.dataset)
        self.model = self.model.to(self.config["device"])
        self.trainer = Trainer(self.config, self.model)
        self.trainer.eval_collector.data_collect(self.train_loader)
        self.epochs = self.steps = self.sequences = 0

    def facts(self) -> Json:
        parameters = sum(p.numel() for p in self.model.parameters())
        return {"items": self.dataset.item_num - 1, "parameters": parameters}

    def epoch(self, limit: float | None) -> Json:
        self.steps = self.sequences = 0
        start = time.perf_counter()
        ends = None if limit is None else start + limit
        losses = self.trainer._train_epoch(self._batches(ends), self.epochs)
        seconds = time.perf_counter() - start
        self.epochs += 1
        counted = {"steps": self.steps, "sequences": self.sequences}
        return {"seconds": seconds, "loss": losses / self.steps, **counted}

    def _batches(self, ends: float | None) -> Iterator[Any]:
        for batch in self.train_loader:
            if ends is not None and time.perf_counter() > ends:
                return
            self.steps += 1
            self.sequences += len(batch)
            yield batch

    def validate(self) -> Json:
        found = self.trainer.evaluate(self.valid_loader, load_best_model=False)
        return {**{name: float(value) for name, value in found.items()}, "users": self._num_users}

    @torch.no_grad()
    def recommend(self) -> torch.Tensor:
        """RecBole filters seen items of no sequential model, so this is what its user writes."""
        numbers = self.dataset.token2id("user_id", np.arange(self._num_users).astype(str))
        best = []
        for start in range(0, self._num_users, self.settings.eval_batch):
            users = slice(start, start + self.settings.eval_batch)
            device = self.config["device"]
            scores = full_sort_scores(numbers[users], self.model, self.valid_loader, device)
            rows, items = self._seen(users)
            scores[rows, items] = -torch.inf
            best.append(scores.topk(TOP_K).indices.cpu())
        return torch.cat(best)

    def _seen(self, users: slice) -> tuple[np.ndarray, np.ndarray]:
        histories = self.histories[users]
        rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        return rows, self._numbers[np.concatenate(histories)]

    def lists(self, recommended: torch.Tensor) -> np.ndarray:
        found: np.ndarray = self.dataset.id2token("item_id", recommended.numpy())
        return found.astype(np.int64)

    @property
    def _num_users(self) -> int:
        return len(self.histories)

    @property
    def _numbers(self) -> np.ndarray:
        """RecBole's number of each id of the file."""
        tokens = self.dataset.field2id_token["item_id"]
        found = np.zeros(max(map(int, tokens[1:])) + 1, np.int64)
        found[tokens[1:].astype(np.int64)] = np.arange(1, len(tokens))
        return found


def write_files(data: Data, length: int) -> None:
    """Into the current folder: sequences to train on, to validate, and (unused) all items."""
    folder = Path(NAME)
    folder.mkdir()
    cut = [" ".join(map(str, history[-length:])) for history in data.train()]
    # BERT4Rec learns from the list alone; item_id, which other models would learn, repeats its end
    last = [history[-1] for history in data.train()]
    parts = {
        "train": zip(range(len(cut)), cut, last, strict=True),
        "valid": zip(range(len(cut)), cut, data.valid, strict=True),
        "test": ((0, item, item) for item in data.catalogue),  # so that the catalogue is whole
    }
    for part, rows in parts.items():
        lines = [HEADER, *("\t".join(map(str, row)) for row in rows)]
        (folder / f"{NAME}.{part}.inter").write_text("\n".join(lines) + "\n")


def configuration(settings: Settings) -> Config:
    amp = settings.options.get("precision") == "bf16"
    found = Config(
        model="BERT4Rec",
        dataset=NAME,
        config_dict={
            "data_path": ".",
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id_list", "item_id"]},
            "alias_of_item_id": ["item_id_list"],
            "MAX_ITEM_LIST_LENGTH": settings.length,
            "n_layers": settings.layers,
            "n_heads": settings.heads,
            "hidden_size": settings.hidden,
            "inner_size": 4 * settings.hidden,
            "hidden_dropout_prob": settings.dropout,
            "attn_dropout_prob": settings.dropout,
            "mask_ratio": settings.mask,
            "ft_ratio": settings.last_item,
            "loss_type": "CE",
            "train_neg_sample_args": None,
            "learning_rate": settings.lr,
            "train_batch_size": settings.batch,
            "eval_batch_size": settings.eval_batch,
            "metrics": ["NDCG", "Hit"],
            "topk": [TOP_K],
            "valid_metric": f"NDCG@{TOP_K}",
            "seed": settings.seed,
            "use_gpu": settings.device == "cuda",
            "gpu_id": "0" if settings.device == "cuda" else "",
            "enable_amp": amp,
            "enable_scaler": amp and settings.device == "cuda",
            "show_progress": False,
            "state": "ERROR",
        },
    )
    logging.getLogger().setLevel(logging.ERROR)
    return found


if __name__ == "__main__":
    serve(RecBole)
