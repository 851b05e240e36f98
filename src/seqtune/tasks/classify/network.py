"""A trained network as a classifier.

Shapes: B batch, T time, N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from seqtune.batching import EvalOrder, Rows
from seqtune.core.checkpoint import Which
from seqtune.inference import (
    outline,
    read_weights,
    select_device,
    weights_must_fit,
)
from seqtune.text.pretrained import load_tokenizer
from seqtune.text.split import Part
from seqtune.text.tokens import Tokens

from .data import ClassifyData, write_texts
from .model import TextClassifier, empty_encoder
from .scorer import THRESHOLDS, Classifier, Logits, describe, require_labels


@dataclass(frozen=True)
class NetworkClassifier(Classifier):
    """A trained network in memory."""

    tokenizer: Any
    model: TextClassifier

    def logits(self, texts: Sequence[str], *, batch_size: int) -> Logits:
        """Return one logit for each text and label [N, L]."""
        with TemporaryDirectory(prefix="seqtune-") as folder:
            limit = self.config.model.token_limit
            write_texts(Path(folder), texts, self.tokenizer, limit=limit)
            return TokenBatches.of(self, Tokens.open(Path(folder)), size=batch_size).logits()

    def batches_of(self, data: ClassifyData, part: Part) -> TokenBatches:
        """Return the batches of a part, whose tokens are cached."""
        require_labels(self, data, who="checkpoint")
        model = self.config.model
        tokens = data.tokens_by(
            lambda: self.tokenizer, part, str(model.revision), limit=model.token_limit
        )
        return TokenBatches.of(self, tokens, size=self.config.evaluation.batch_size)


@dataclass(frozen=True)
class TokenBatches:
    """Texts by their tokens, in batches of similar lengths."""

    classifier: NetworkClassifier
    tokens: Tokens
    rows: Sequence[Rows]  # of each batch

    @classmethod
    def of(cls, classifier: NetworkClassifier, tokens: Tokens, *, size: int) -> TokenBatches:
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


def load_network(
    path: Path, which: Which = "best", *, device: str | None = None
) -> NetworkClassifier:
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
    return NetworkClassifier(
        **vars(info), device=where, tokenizer=tokenizer, model=model.to(where).eval()
    )
