"""Checkpoints with fixed logits: folders as `training` writes them, without a model.

`load_fixed` stands in for `scorer.load_classifier`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import ensemble_folders
from seqtune.core.checkpoint import CheckpointManifest, open_checkpoint
from seqtune.tasks.classify.data import ClassifyData
from seqtune.tasks.classify.params import ClassifyConfig


@dataclass(frozen=True)
class FixedLogits:
    """A classifier with fixed logits, as the stages after training use it."""

    path: Path
    which: str = "best"
    device: str = "cpu"
    thresholds: None = None
    """As in a checkpoint from before thresholds were part of one."""

    @property
    def manifest(self) -> CheckpointManifest:
        return open_checkpoint(self.path).manifest

    @property
    def data_hash(self) -> str:
        return self.manifest.data_hash

    @property
    def config(self) -> ClassifyConfig:
        return ClassifyConfig.model_validate(self.manifest.config)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(json.loads((self.path / "assets" / "labels.json").read_text()))

    def logits_of(self, data: ClassifyData, part: str) -> np.ndarray:
        return np.load(self.path / f"{part}.npy")

    def batches_of(self, data: ClassifyData, part: str) -> FixedBatches:
        return FixedBatches(self.logits_of(data, part), self.config.evaluation.batch_size)

    def logits(self, texts: Sequence[str], *, batch_size: int) -> np.ndarray:
        """Compute logits from the length of a text."""
        sizes = np.array([len(text) for text in texts], np.float64)
        return np.column_stack([sizes - 3 * (n + 1) for n in range(len(self.labels))])

    def identity(self) -> dict[str, Any]:
        return {"checkpoint": str(self.path), "fingerprint": self.manifest.fingerprint}

    def configuration(self) -> dict[str, Any]:
        return {"config": {"seed": self.config.seed}}


@dataclass(frozen=True)
class FixedBatches:
    """Batches of rows as they come."""

    logits: np.ndarray
    size: int

    def some(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.arange(len(self.logits))[first * self.size : (first + count) * self.size]
        return rows, self.logits[rows]


def load_fixed(path: Path, which: str = "best", *, device: str | None = None) -> Any:
    open_checkpoint(path)
    return FixedLogits(path, which, device or "cpu")


def write_logits(
    path: Path, data: ClassifyData, *, fingerprint: str = "f" * 16, **logits: np.ndarray
) -> Path:
    """Write a checkpoint of this split with these `logits` (by part)."""
    (path / "assets").mkdir(parents=True)
    for part, values in logits.items():
        np.save(path / f"{part}.npy", np.asarray(values, np.float64))
    (path / "assets" / "labels.json").write_text(json.dumps(data.labels))
    save_file({p: np.asarray(v, np.float64) for p, v in logits.items()}, path / "best.safetensors")
    return ensemble_folders.write_manifest(
        path,
        data,
        ClassifyConfig(),
        files=("best.safetensors", "best.safetensors"),
        fingerprint=fingerprint,
        epoch=2,
        metrics={"val_macro_f1": 0.5},
    )


write_ensemble = partial(
    ensemble_folders.write_ensemble, task="classify", metric="valid macro_f1", scale="probabilities"
)
"""`write_ensemble(path, {checkpoint: share}, scale=..., **manifest)`."""
