"""Splits, models and configurations small enough to train in a test.

A text says which labels it has: each label has words of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.params import ClassifyConfig
from seqtune.text.split import Part, write_split
from tiny_models import MAKERS

LABELS = ("food", "sport", "나쁨")
WORDS = {"food": "bread soup apple", "sport": "ball goal run", "나쁨": "욕설 나쁜 말"}
OTHERS = ("the", "a", "one", "day", "we", "saw", "there", "then", "more", "of", "오늘", "우리")
Rows = Sequence[tuple[str, Sequence[int]]]


def generated(number: int, *, seed: int = 0, longest: int = 20) -> list[tuple[str, list[int]]]:
    """Texts with their labels, most of them short."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(number):
        labels = (random.random(len(LABELS)) < (0.4, 0.3, 0.2)).astype(int).tolist()
        own = [
            str(random.choice(WORDS[n].split())) for n, y in zip(LABELS, labels, strict=True) if y
        ]
        filling = random.choice(OTHERS, 1 + int(longest * random.random() ** 3)).tolist()
        words = [*own, *filling]
        random.shuffle(words)
        rows.append((" ".join(words), labels))
    return rows


def make_split(
    path: Path,
    *,
    train: Rows | None = None,
    valid: Rows | None = None,
    test: Rows | None = None,
    augmented: Rows = (),
    labels: Sequence[str] = LABELS,
) -> ClassifyData:
    """A split as the stage writes it; `augmented` rows come after those of train."""
    own = generated(48) if train is None else train
    parts: dict[Part, pa.Table] = {
        "train": table([*own, *augmented], num_augmented=len(augmented)),
        "valid": table(generated(24, seed=1) if valid is None else valid),
        "test": table(generated(24, seed=2) if test is None else test),
    }
    path.mkdir(parents=True)
    write_split(
        path,
        parts,
        task="classify",
        assets_hash=sha256("\n".join(labels).encode()).hexdigest(),
        facts={
            "labels": list(labels),
            "fit_positives": np.sum([y for _, y in own], axis=0).tolist(),
            "fit_rows": len(own),
        },
        made_with={},
    )
    return ClassifyData.open(path)


def table(rows: Rows, *, num_augmented: int = 0) -> pa.Table:
    """Rows in the columns of a part."""
    made_up = [False] * (len(rows) - num_augmented) + [True] * num_augmented
    return pa.table(
        {
            "row": pa.array(range(len(rows)), pa.int64()),
            "id": pa.array([str(number) for number in range(len(rows))], pa.string()),
            "text": pa.array([text for text, _ in rows], pa.string()),
            "labels": pa.array([list(map(int, y)) for _, y in rows], pa.list_(pa.int8())),
            "augmented": pa.array(made_up, pa.bool_()),
        }
    )


def make_model(folder: Path, kind: str = "electra", **options: Any) -> Path:
    """A tiny encoder of a real class, with a tokeniser that knows the words above."""
    return MAKERS[kind](folder, [text for text, _ in generated(200, seed=9)], **options)


def tiny_config(model: Path, /, **sections: Mapping[str, Any]) -> ClassifyConfig:
    """Two short epochs on the CPU; `sections` are laid over it."""
    values: dict[str, dict[str, Any]] = {
        "model": {
            "name": str(model),
            "pooling": "first",
            "max_length": 32,
            "gradient_checkpointing": False,
        },
        "training": {
            "epochs": 2,
            "batch_size": 8,
            "accumulate_grad_batches": 1,
            "lr": 1e-3,
            "precision": "fp32",
            "accelerator": "cpu",
            "num_threads": 1,
        },
        "evaluation": {"batch_size": 8, "train_metric_rows": 8},
    }
    for name, section in sections.items():
        values.setdefault(name, {}).update(section)
    return ClassifyConfig.model_validate(values)
