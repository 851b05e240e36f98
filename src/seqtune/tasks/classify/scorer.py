"""A checkpoint as a classifier: its labels, and what a network and a baseline both do.

Shapes: N texts, L labels.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seqtune.batching import Rows
from seqtune.core.checkpoint import Checkpoint, Which
from seqtune.core.errors import ArtifactError
from seqtune.inference import (
    CheckpointInfo,
    LoadedCheckpoint,
    read_checkpoint_config,
    read_tensor,
)
from seqtune.text.split import Part

from .data import LABELS_FILE, ClassifyData
from .params import ClassifyConfig

THRESHOLDS = "_extra_state"
"""Name of the thresholds among the weights (`TextClassifier.get_extra_state`)."""
Logits = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassifierInfo(CheckpointInfo[ClassifyConfig]):
    """A checkpoint on disk, with its labels."""

    labels: tuple[str, ...]
    thresholds: Logits | None
    """Of each label [L], tuned on valid in training; None if there was no valid part."""


class ScoringBatches(Protocol):
    """Texts in the batches in which a classifier scores them."""

    def logits(self) -> Logits:
        """Score all texts, in their order [N, L]."""

    def some(self, first: int, count: int) -> tuple[Rows, Logits]:
        """Score the texts of some batches; return their places [N] and logits [N, L]."""


@dataclass(frozen=True)
class Classifier(ClassifierInfo, LoadedCheckpoint[ClassifyConfig]):
    """A checkpoint in memory."""

    @abstractmethod
    def logits(self, texts: Sequence[str], *, batch_size: int) -> Logits:
        """Return one logit for each text and label [N, L]."""

    @abstractmethod
    def batches_of(self, data: ClassifyData, part: Part) -> ScoringBatches:
        """Return the batches of a part of a split, to be scored a few at a time."""

    def logits_of(self, data: ClassifyData, part: Part) -> Logits:
        """Return the logits of a part of a split [N, L]."""
        return self.batches_of(data, part).logits()


def describe(path: Path, which: Which = "best") -> ClassifierInfo:
    """Read the manifest and labels of a checkpoint; its model stays on disk."""
    checkpoint, config = read_checkpoint_config(path, ClassifyConfig, task="classify")
    labels = json.loads((checkpoint.assets / LABELS_FILE).read_text(encoding="utf-8"))
    thresholds = _thresholds(checkpoint, which)
    return ClassifierInfo(checkpoint, which, config, tuple(map(str, labels)), thresholds)


def _thresholds(checkpoint: Checkpoint, which: Which) -> Logits | None:
    found = read_tensor(checkpoint, which, THRESHOLDS)
    return None if found is None or not len(found) else found.numpy()


def require_labels(model: ClassifierInfo, data: ClassifyData, *, who: str) -> None:
    """Refuse a model with other labels, or the same in another order."""
    if model.manifest.assets_hash != data.assets_hash:
        raise ArtifactError(
            f"{who} ({model.path}) was trained on another data set than {data.path}: its labels "
            f"are {', '.join(model.labels)}, not {', '.join(data.labels)}. Train again (`kedro run "
            "--pipelines classify.train`) or choose the matching version with --load-versions"
        )
