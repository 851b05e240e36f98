"""A split folder of a handful of users, written by hand in the format of `data.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from seqtune.tasks.recommend.data import ARRAYS, MANIFEST, SplitData, SplitManifest, content_hash
from seqtune.tasks.recommend.params import RecommendConfig

SEQUENCES = (
    (1, 2, 3, 4, 5, 6, 7),
    (2, 3, 4, 5),
    (7, 6, 5),
    (3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6),
    (8, 1, 2, 3, 8),
    (5, 6, 7, 8, 1, 2),
)
SIDES = {"genre": ([1], [1, 2], [2], [], [3], [1, 3], [2, 3], [1])}
"""Values of items 1..8."""

MakeSplit = Callable[..., SplitData]


def write_split(
    directory: Path,
    sequences: Sequence[Sequence[int]],
    *,
    num_items: int,
    sides: dict[str, Sequence[Sequence[int]]] | None = None,
    validated: bool = True,
) -> SplitData:
    """Last item test, the one before valid; without validation everything is trained on."""
    lengths = np.array([len(sequence) for sequence in sequences])
    items = np.concatenate([np.array(sequence) for sequence in sequences])
    train_end = lengths - 2 if validated else lengths
    trained = [item for s, n in zip(sequences, train_end, strict=True) for item in s[:n]]
    arrays = {
        "items": items,
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "train_end": train_end,
        "valid_at": lengths - 2 if validated else np.full(len(lengths), -1),
        "test_at": lengths - 1 if validated else np.full(len(lengths), -1),
        "train_counts": np.bincount(np.array(trained, dtype=np.int64), minlength=num_items + 1),
    }
    typed = {name: array.astype(ARRAYS[name]) for name, array in arrays.items()}
    num_values = {}
    for name, values in (sides or {}).items():
        flat = [value for of_item in values for value in of_item]
        counts = [0, 0, *(len(of_item) for of_item in values)]
        typed[f"side_{name}_values"] = np.array(flat, dtype=np.int32)
        typed[f"side_{name}_offsets"] = np.cumsum(counts, dtype=np.int64)
        num_values[name] = max(flat)
    directory.mkdir(parents=True)
    for name, array in typed.items():
        np.save(directory / f"{name}.npy", array)
    manifest = SplitManifest(
        num_users=len(sequences),
        num_items=num_items,
        num_interactions=len(items),
        content_hash=content_hash(typed),
        vocabulary_hash=content_hash({"items": np.arange(num_items + 1)}),
        sides=num_values,
        use_full_data=not validated,
    )
    (directory / MANIFEST).write_text(manifest.model_dump_json())
    return SplitData.open(directory)


@pytest.fixture
def make_split(tmp_path: Path) -> MakeSplit:
    """`make_split(sequences, num_items=..., sides=..., validated=...)` in a fresh folder."""
    count = 0

    def make(sequences: Sequence[Sequence[int]] = SEQUENCES, **options: object) -> SplitData:
        nonlocal count
        count += 1
        options.setdefault("num_items", max(map(max, sequences)))
        return write_split(tmp_path / f"split{count}", sequences, **options)

    return make


@pytest.fixture
def tiny_split(make_split: MakeSplit) -> SplitData:
    """Six users, eight items, a genre table."""
    return make_split(SEQUENCES, num_items=8, sides=SIDES)


@pytest.fixture
def tiny_config() -> RecommendConfig:
    """A model small enough to train in a test, without randomness in the model itself."""
    return RecommendConfig.model_validate(
        {
            "model": {
                "hidden_units": 16,
                "num_heads": 2,
                "num_layers": 2,
                "max_len": 8,
                "dropout_rate": 0.0,
                "random_mask_prob": 0.3,
            },
            "training": {"batch_size": 3, "epochs": 2, "precision": "fp32", "accelerator": "cpu"},
            "evaluation": {"ks": [1, 5], "batch_size": 4},
        }
    )
