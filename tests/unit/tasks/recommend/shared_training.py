"""Small trainings of the recommender, for processes that share one; also tests/cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from split_folders import write_split
from torch import distributed

from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import ALONE, RankInfo
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import SplitData
from seqtune.tasks.recommend.params import RecommendConfig
from seqtune.training import fit
from toy_processes import exit_codes, start_ranks

TIGHT = 1e-4
"""Relative: sums in another order."""
LOOSE = 0.05
"""Relative, of losses: each rank draws its own masks and dropout."""
CASES: dict[str, dict[str, Any]] = {
    "causal": {"objective": "causal"},
    "negatives": {"objective": "causal", "num_negatives": 8},
    "lazy": {"objective": "causal", "num_negatives": 8, "lazy_embeddings": True},
    "cloze": {"dropout_rate": 0.2, "random_mask_prob": 0.3},
}
NUM_USERS, NUM_ITEMS = 300, 40
Rows = list[dict[str, float]]


def configuration(case: str, **training: Any) -> RecommendConfig:
    small = {"hidden_units": 16, "num_heads": 2, "num_layers": 2, "max_len": 12, "dropout_rate": 0}
    return RecommendConfig.model_validate(
        {
            "model": {**small, **CASES[case]},
            "training": {
                "batch_size": 30,
                "epochs": 3,
                "lr": 0.01,
                "precision": "fp32",
                "accelerator": "cpu",
                "monitor": "val_ndcg@5",
                "monitor_mode": "max",
                **training,
            },
            "evaluation": {"ks": [5, 10], "train_metric_users": 50},
        }
    )


def train(
    case: str, data: SplitData, folder: Path, place: RankInfo = ALONE, **training: Any
) -> Rows:
    """History without what only says how long."""
    result = fit(
        TASK,
        configuration(case, **training),
        data,
        directory=folder / case,
        fingerprint="f" * 16,
        progress=False,
        launched=place,
    )
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]


def train_as_two(folder: Path, split: Path) -> dict[str, Rows]:
    """What two processes come to, by case; both of them say it."""
    assert exit_codes(start_ranks(train_all, folder, split)) == [0, 0]
    told = [json.loads((folder / f"histories-{rank}.json").read_text()) for rank in range(2)]
    assert told[0] == told[1]
    found: dict[str, Rows] = told[0]
    return found


def train_all(folder: Path, split: Path, place: RankInfo) -> None:
    """What a rank does; connected before, as Ray Train does it."""
    distributed.init_process_group("gloo", rank=place.rank, world_size=place.world_size)
    data = SplitData.open(split)
    with pytest.raises(ConfigurationError, match=r"2 processes cannot share .* lazy"):
        train("lazy", data, folder, place)
    histories = {
        case: train(case, data, folder, place) for case in ("causal", "negatives", "cloze")
    }
    (folder / f"histories-{place.rank}.json").write_text(json.dumps(histories))
    distributed.destroy_process_group()


def round_trips(folder: Path) -> Path:
    """A split of users who go round among the items in steps of one or two."""
    random = np.random.default_rng(0)
    sequences = [
        (random.integers(NUM_ITEMS) + np.arange(length) * random.integers(1, 3)) % NUM_ITEMS + 1
        for length in random.integers(4, 20, NUM_USERS)
    ]
    write_split(folder, sequences, item_ids=range(NUM_ITEMS))
    return folder
