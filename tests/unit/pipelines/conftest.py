"""A split folder of a few users, and what was typed about a model small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer, flatten
from seqtune.tasks.recommend import TASK
from seqtune.tasks.recommend.data import (
    ARRAYS,
    ITEMS_TABLE,
    MANIFEST,
    SplitManifest,
    content_hash,
)
from seqtune.tuning.parameters import TuningParameters, parse_tuning

NUM_USERS, NUM_ITEMS, LENGTH = 12, 9, 7
SMALL: dict[str, Any] = {
    "model": {"hidden_units": 8, "num_heads": 2, "num_layers": 1, "max_len": 6},
    "training": {
        "batch_size": 4,
        "epochs": 2,
        "precision": "fp32",
        "accelerator": "cpu",
        "num_threads": 1,
        "monitor": "val_ndcg@5",
    },
    "evaluation": {"ks": [1, 5], "train_metric_users": 4},
}
SPACE: dict[str, Any] = {
    "model": {"dropout_rate": {"type": "float", "low": 0.1, "high": 0.3}},
    "training": {"lr": {"type": "float", "low": 0.001, "high": 0.01, "log": True}},
}


@pytest.fixture
def split_folder(tmp_path: Path) -> Path:
    """Everybody's last item is for test, the one before for validation."""
    return write_split(tmp_path / "split")


@pytest.fixture
def full_split(tmp_path: Path) -> Path:
    """Everything is trained on."""
    return write_split(tmp_path / "full", validated=False)


def write_split(folder: Path, *, validated: bool = True) -> Path:
    folder.mkdir()
    items = np.random.default_rng(1).integers(1, NUM_ITEMS + 1, NUM_USERS * LENGTH)
    held_out = 2 if validated else 0
    arrays = {
        "items": items,
        "offsets": np.arange(NUM_USERS + 1) * LENGTH,
        "train_end": np.full(NUM_USERS, LENGTH - held_out),
        "valid_at": np.full(NUM_USERS, LENGTH - 2 if validated else -1),
        "test_at": np.full(NUM_USERS, LENGTH - 1 if validated else -1),
        "train_counts": np.ones(NUM_ITEMS + 1),
    }
    typed = {name: array.astype(ARRAYS[name]) for name, array in arrays.items()}
    for name, array in typed.items():
        np.save(folder / f"{name}.npy", array)
    manifest = SplitManifest(
        num_users=NUM_USERS,
        num_items=NUM_ITEMS,
        num_interactions=len(items),
        content_hash=content_hash(typed),
        vocabulary_hash="v" * 8,
        sides={},
        use_full_data=not validated,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    (folder / ITEMS_TABLE).touch()
    return folder


@pytest.fixture
def small_parameters() -> TaskParameters:
    return TASK.parse_parameters(
        values={**SMALL, "preset": "none"}, runtime={}, origins=origins_of(SMALL)
    )


def origins_of(values: dict[str, Any]) -> dict[str, str]:
    return {key: "conf/base/parameters_recommend.yml" for key, _ in flatten(values)}


@pytest.fixture
def small_tuning(small_parameters: TaskParameters) -> TuningParameters:
    known = dict(flatten(small_parameters.resolve().config.model_dump()))
    return parse_tuning(
        "recommend",
        engine=Layer("conf", {}),
        own=Layer("conf", {"spaces": {"quick": SPACE, "medium": SPACE}}),
        runtime={},
        own_runtime={},
        known=known,
    )
