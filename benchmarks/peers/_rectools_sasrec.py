"""SASRec of RecTools with its defaults, except that it trains for as long as valid improves.

    python _rectools_sasrec.py DATA.npz OUT SEED

Writes the best ten after the valid item, of the epoch that was best on valid, as OUT/lists.npy
[U, 10], and the curve as OUT/run.json.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _rectools import interactions, lists_of, trainer
from _serving import TOP_K, Data
from pytorch_lightning import seed_everything
from rectools.dataset import Dataset
from rectools.models import SASRecModel

MOST_EPOCHS, PATIENCE = 100, 10


def main() -> None:
    source, out, seed = sys.argv[1:]
    warnings.simplefilter("ignore")
    seed_everything(int(seed))
    torch.set_num_threads(1)
    data = Data.load(source)
    model = SASRecModel(get_trainer_func=trainer)
    trained_on = Dataset.construct(interactions(*data.users_and_items()))
    up_to_valid = Dataset.construct(interactions(*data.users_and_items(up_to=1)))
    curve: list[float] = []
    started = time.process_time()
    while len(curve) < MOST_EPOCHS and len(curve) - np.argmax(curve or [0]) <= PATIENCE:
        model.fit_partial(trained_on, min_epochs=1, max_epochs=1)
        curve.append(ndcg(best_items(model, trained_on, data), data.valid))
        print(f"epoch {len(curve)}: valid ndcg@10 {curve[-1]:.4f}", file=sys.stderr, flush=True)
        if curve[-1] == max(curve):
            np.save(Path(out) / "lists.npy", best_items(model, up_to_valid, data))
    minutes = (time.process_time() - started) / 60
    (Path(out) / "run.json").write_text(json.dumps({"curve": curve, "minutes": minutes}))


def best_items(model: SASRecModel, seen: Dataset, data: Data) -> np.ndarray:
    """The best ten of every user [U, 10], without what was seen."""
    users = np.arange(data.num_users)
    found = model.recommend(users, seen, k=TOP_K, filter_viewed=True, on_unsupported_targets="warn")
    lists: np.ndarray = lists_of(found, num_users=data.num_users)
    return lists


def ndcg(lists: np.ndarray, targets: np.ndarray) -> float:
    """Mean over all users; an item that the model does not know is a miss."""
    gains = 1.0 / np.log2(np.arange(TOP_K) + 2)
    return float(((lists == targets[:, None]) * gains).sum(1).mean())


if __name__ == "__main__":
    main()
