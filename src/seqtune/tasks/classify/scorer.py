"""A checkpoint's classifier, ready to score: the one way from a folder on disk to logits.

Shapes: B batch, T time, N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from seqtune.batching import EvalOrder, Rows
from seqtune.contracts.checkpoint import NEXT_STEP, Checkpoint, Which, open_checkpoint
from seqtune.contracts.errors import ArtifactError
from seqtune.opened import Described, Trained, config_of, place, weights_of
from seqtune.text.pretrained import load_tokenizer
from seqtune.text.split import Part
from seqtune.text.tokens import Tokens

from .data import ClassifyData, read_labels, write_texts
from .model import TextClassifier, empty_encoder
from .params import ClassifyConfig

Logits = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DescribedClassifier(Described[ClassifyConfig]):
    """Weights of a checkpoint, and all that is known of them while they lie on the disk."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class Classifier(Trained[ClassifyConfig]):
    """Weights of a checkpoint in a model that no longer changes."""

    tokenizer: Any
    labels: tuple[str, ...]
    model: TextClassifier

    def logits(self, texts: Sequence[str], *, batch_size: int) -> Logits:
        """One number for each text and label [N, L]; above 0 speaks for the label."""
        with TemporaryDirectory(prefix="seqtune-") as folder:
            limit = self.config.model.max_length
            write_texts(Path(folder), texts, self.tokenizer, limit=limit)
            return Batches.of(self, Tokens.open(Path(folder)), size=batch_size).logits()

    def logits_of(self, data: ClassifyData, part: Part) -> Logits:
        """The same for a part of a split, whose tokens are kept [N, L]."""
        return self.batches_of(data, part).logits()

    def batches_of(self, data: ClassifyData, part: Part) -> Batches:
        """Such a part, to be scored a few batches at a time."""
        require_labels(self, data, who="checkpoint")
        model = self.config.model
        tokens = data.tokens_by(
            lambda: self.tokenizer, part, str(model.revision), limit=model.max_length
        )
        return Batches.of(self, tokens, size=self.config.evaluation.batch_size)


class Scored(NamedTuple):
    """Some texts of many."""

    rows: Rows  # [N]
    logits: Logits  # [N, L]


@dataclass(frozen=True)
class Batches:
    """Texts in the batches that a classifier scores them in."""

    classifier: Classifier
    tokens: Tokens
    rows: Sequence[Rows]
    """Of each batch."""

    @classmethod
    def of(cls, classifier: Classifier, tokens: Tokens, *, size: int) -> Batches:
        return cls(classifier, tokens, EvalOrder(tokens.lengths, batch_size=size).batches())

    def logits(self) -> Logits:
        """Of all texts, in their order [N, L]."""
        found = np.zeros((len(self.tokens), len(self.classifier.labels)))
        for rows in self.rows:
            found[rows] = self._scored(rows)
        return found

    def some(self, first: int, count: int) -> Scored:
        """The texts of some batches."""
        batches = self.rows[first : first + count]
        return Scored(np.concatenate(batches), np.concatenate([*map(self._scored, batches)]))

    def _scored(self, rows: Rows) -> Logits:
        model, device = self.classifier.model, self.classifier.device
        ids, real = (torch.from_numpy(a) for a in self.tokens.padded(rows, pad=model.pad))
        with torch.inference_mode(), self.classifier.autocast():
            logits = model(ids.to(device), real.to(device))
        found: Logits = logits.double().cpu().numpy()
        return found


def describe(path: Path, which: Which = "best") -> DescribedClassifier:
    """Read what a checkpoint says of itself; its model stays on the disk."""
    checkpoint = open_checkpoint(path)
    config = config_of(checkpoint, ClassifyConfig, task="classify")
    return DescribedClassifier(checkpoint, which, config, read_labels(checkpoint.assets))


def load_classifier(path: Path, which: Which = "best", *, device: str | None = None) -> Classifier:
    """Open a checkpoint. `device` is where to compute; without one, where it was trained."""
    told = describe(path, which)
    checkpoint, config = told.checkpoint, told.config
    model = _model(checkpoint, config, which, num_labels=len(told.labels))
    where = place(device, config.training.accelerator)
    return Classifier(
        checkpoint=checkpoint,
        which=which,
        config=config,
        tokenizer=load_tokenizer(checkpoint.assets),
        device=where,
        labels=told.labels,
        model=model.to(where).eval(),
    )


def require_labels(
    model: DescribedClassifier | Classifier, data: ClassifyData, *, who: str
) -> None:
    """Refuse a model of other labels, or of the same in another order."""
    if model.manifest.assets_hash != data.assets_hash:
        raise ArtifactError(
            f"{who} ({model.path}) was trained on another data set than {data.path}: its labels "
            f"are {', '.join(model.labels)}, not {', '.join(data.labels)}. Train again (`kedro run "
            "--pipelines classify.train`) or choose the matching version with --load-versions"
        )


def _model(
    checkpoint: Checkpoint, config: ClassifyConfig, which: Which, *, num_labels: int
) -> TextClassifier:
    weights = weights_of(checkpoint, which)
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and then replaced
        model = TextClassifier(
            empty_encoder(checkpoint.assets), config.model, num_labels=num_labels
        )
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:  # a tensor is missing, or of another shape
        raise ArtifactError(
            f"the weights in {checkpoint.weights_path(which)} do not fit the configuration beside "
            f"them ({' '.join(str(error).split())}); {NEXT_STEP}"
        ) from error
    return model
