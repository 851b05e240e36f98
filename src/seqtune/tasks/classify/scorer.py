"""A checkpoint's classifier, ready to score: the one way from a folder on disk to logits.

Shapes: B batch, T time, N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqtune.batching import EvalOrder
from seqtune.contracts.checkpoint import NEXT_STEP, Checkpoint, Which, open_checkpoint
from seqtune.contracts.errors import ArtifactError
from seqtune.opened import Trained, config_of, place, weights_of
from seqtune.text.pretrained import load_tokenizer
from seqtune.text.split import Part
from seqtune.text.tokens import Tokens

from .data import ClassifyData, read_labels, write_texts
from .model import TextClassifier, empty_encoder
from .params import ClassifyConfig

Logits = npt.NDArray[np.float64]


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
            return self._scored(Tokens.open(Path(folder)), batch_size=batch_size)

    def logits_of(self, data: ClassifyData, part: Part) -> Logits:
        """The same for a part of a split, whose tokens are kept [N, L]."""
        require_labels(self, data, who="checkpoint")
        model = self.config.model
        tokens = data.tokens_by(
            lambda: self.tokenizer, part, str(model.revision), limit=model.max_length
        )
        return self._scored(tokens, batch_size=self.config.evaluation.batch_size)

    def _scored(self, tokens: Tokens, *, batch_size: int) -> Logits:
        found = np.zeros((len(tokens), len(self.labels)))
        for rows in EvalOrder(tokens.lengths, batch_size=batch_size).batches():
            ids, real = (torch.from_numpy(a) for a in tokens.padded(rows, pad=self.model.pad))
            with torch.inference_mode(), self.autocast():
                logits = self.model(ids.to(self.device), real.to(self.device))
            found[rows] = logits.double().cpu().numpy()
        return found


def load_classifier(path: Path, which: Which = "best", *, device: str | None = None) -> Classifier:
    """Open a checkpoint. `device` is where to compute; without one, where it was trained."""
    checkpoint = open_checkpoint(path)
    config = config_of(checkpoint, ClassifyConfig, task="classify")
    labels = read_labels(checkpoint.assets)
    model = _model(checkpoint, config, which, num_labels=len(labels))
    where = place(device, config.training.accelerator)
    return Classifier(
        checkpoint=checkpoint,
        which=which,
        config=config,
        tokenizer=load_tokenizer(checkpoint.assets),
        device=where,
        labels=labels,
        model=model.to(where).eval(),
    )


def require_labels(model: Classifier, data: ClassifyData, *, who: str) -> None:
    """Refuse a model of other labels, or of the same in another order."""
    if model.manifest.assets_hash != data.assets_hash:
        raise ArtifactError(
            f"{who} ({model.path}) was trained on another data set than {data.path}: its labels "
            f"are {', '.join(model.labels)}, not {', '.join(data.labels)}. Train again (`kedro run "
            "--pipeline classify.train`) or choose the matching version with --load-versions"
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
