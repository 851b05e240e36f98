"""Open one checkpoint as a classifier and compute logits.

Shapes: B batch, T time, N texts, L labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqtune.batching import EvalOrder, Rows
from seqtune.core.checkpoint import Checkpoint, Which
from seqtune.core.errors import ArtifactError
from seqtune.inference import (
    CheckpointInfo,
    LoadedCheckpoint,
    outline,
    read_checkpoint_config,
    read_tensor,
    read_weights,
    select_device,
    weights_must_fit,
)
from seqtune.text.pretrained import load_tokenizer
from seqtune.text.split import Part
from seqtune.text.tokens import Tokens

from .data import LABELS_FILE, ClassifyData, write_texts
from .model import TextClassifier, empty_encoder
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


@dataclass(frozen=True)
class Classifier(ClassifierInfo, LoadedCheckpoint[ClassifyConfig]):
    """A checkpoint in memory."""

    tokenizer: Any
    model: TextClassifier

    def logits(self, texts: Sequence[str], *, batch_size: int) -> Logits:
        """Return one logit for each text and label [N, L]."""
        with TemporaryDirectory(prefix="seqtune-") as folder:
            limit = self.config.model.token_limit
            write_texts(Path(folder), texts, self.tokenizer, limit=limit)
            return ScoringBatches.of(self, Tokens.open(Path(folder)), size=batch_size).logits()

    def logits_of(self, data: ClassifyData, part: Part) -> Logits:
        """Return the logits of a part of a split, whose tokens are cached [N, L]."""
        return self.batches_of(data, part).logits()

    def batches_of(self, data: ClassifyData, part: Part) -> ScoringBatches:
        """Return the batches of a part, to be scored a few at a time."""
        require_labels(self, data, who="checkpoint")
        model = self.config.model
        tokens = data.tokens_by(
            lambda: self.tokenizer, part, str(model.revision), limit=model.token_limit
        )
        return ScoringBatches.of(self, tokens, size=self.config.evaluation.batch_size)


@dataclass(frozen=True)
class ScoringBatches:
    """Texts in the batches in which a classifier scores them."""

    classifier: Classifier
    tokens: Tokens
    rows: Sequence[Rows]  # of each batch

    @classmethod
    def of(cls, classifier: Classifier, tokens: Tokens, *, size: int) -> ScoringBatches:
        return cls(classifier, tokens, EvalOrder(tokens.lengths, batch_size=size).batches())

    def logits(self) -> Logits:
        """Score all texts, in their order [N, L]."""
        found = np.zeros((len(self.tokens), len(self.classifier.labels)))
        for rows in self.rows:
            found[rows] = self._score(rows)
        return found

    def some(self, first: int, count: int) -> tuple[Rows, Logits]:
        """Score the texts of some batches; return their places [N] and logits [N, L]."""
        batches = self.rows[first : first + count]
        return np.concatenate(batches), np.concatenate([*map(self._score, batches)])

    def _score(self, rows: Rows) -> Logits:
        model, device = self.classifier.model, self.classifier.device
        ids, real = (torch.from_numpy(a) for a in self.tokens.padded(rows, pad=model.pad))
        with torch.inference_mode(), self.classifier.autocast():
            logits = model(ids.to(device), real.to(device))
        found: Logits = logits.double().cpu().numpy()
        return found


def describe(path: Path, which: Which = "best") -> ClassifierInfo:
    """Read the manifest and labels of a checkpoint; its model stays on disk."""
    checkpoint, config = read_checkpoint_config(path, ClassifyConfig, task="classify")
    labels = json.loads((checkpoint.assets / LABELS_FILE).read_text(encoding="utf-8"))
    thresholds = _thresholds(checkpoint, which)
    return ClassifierInfo(checkpoint, which, config, tuple(map(str, labels)), thresholds)


def _thresholds(checkpoint: Checkpoint, which: Which) -> Logits | None:
    found = read_tensor(checkpoint, which, THRESHOLDS)
    return None if found is None or not len(found) else found.numpy()


def load_classifier(path: Path, which: Which = "best", *, device: str | None = None) -> Classifier:
    """Open a checkpoint, on `device` or where it was trained."""
    info = describe(path, which)
    weights = read_weights(info.checkpoint, which)
    weights.setdefault(THRESHOLDS, torch.empty(0))  # an old checkpoint has none

    def build() -> TextClassifier:
        encoder = empty_encoder(info.assets)
        return TextClassifier(encoder, info.config.model, num_labels=len(info.labels))

    with weights_must_fit(info.checkpoint, which):
        outline(build, weights).load_state_dict(weights, assign=True)
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, then replaced
        model = build()
    model.load_state_dict(weights)
    where = select_device(device, info.config.training.accelerator)
    tokenizer = load_tokenizer(info.assets)
    return Classifier(**vars(info), device=where, tokenizer=tokenizer, model=model.to(where).eval())


def require_labels(model: ClassifierInfo, data: ClassifyData, *, who: str) -> None:
    """Refuse a model with other labels, or the same in another order."""
    if model.manifest.assets_hash != data.assets_hash:
        raise ArtifactError(
            f"{who} ({model.path}) was trained on another data set than {data.path}: its labels "
            f"are {', '.join(model.labels)}, not {', '.join(data.labels)}. Train again (`kedro run "
            "--pipelines classify.train`) or choose the matching version with --load-versions"
        )
