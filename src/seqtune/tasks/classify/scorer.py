"""A checkpoint's classifier, ready to score: the one way from a folder on disk to logits.

It needs neither a hub nor the folder that its model came from.

Shapes: B batch, T time, N texts, L labels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from seqtune.batching import EvalOrder
from seqtune.contracts.checkpoint import (
    NEXT_STEP,
    Checkpoint,
    CheckpointManifest,
    Which,
    open_checkpoint,
)
from seqtune.contracts.errors import ArtifactError, ConfigurationError
from seqtune.contracts.task import Report
from seqtune.text.pretrained import load_tokenizer
from seqtune.text.split import Part
from seqtune.text.tokens import Tokens

from .data import ClassifyData, read_labels, write_texts
from .model import TextClassifier, empty_encoder
from .params import ClassifyConfig

logger = logging.getLogger(__name__)

PREFIX = "model."
"""Of the names of weights: the attribute of the module that was trained."""
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
Logits = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Classifier:
    """Weights of a checkpoint in a model that no longer changes."""

    checkpoint: Checkpoint
    which: Which
    config: ClassifyConfig
    labels: tuple[str, ...]
    model: TextClassifier
    tokenizer: Any
    device: torch.device

    @property
    def path(self) -> Path:
        return self.checkpoint.path

    @property
    def manifest(self) -> CheckpointManifest:
        return self.checkpoint.manifest

    @property
    def data_hash(self) -> str:
        """Content hash of the split that it was trained on."""
        return self.manifest.data_hash

    def logits(self, texts: Sequence[str], *, batch_size: int) -> Logits:
        """One number for each text and label [N, L]; above 0 speaks for the label."""
        with TemporaryDirectory(prefix="seqtune-") as folder:
            limit = self.config.model.max_length
            write_texts(Path(folder), texts, self.tokenizer, limit=limit)
            return self._scored(Tokens.open(Path(folder)), batch_size=batch_size)

    def logits_of(self, data: ClassifyData, part: Part) -> Logits:
        """The same for a part of a split, whose tokens are kept [N, L]."""
        self.require_assets(data.assets_hash, what=f"the split {data.path}")
        model = self.config.model
        tokens = data.tokens_by(
            lambda: self.tokenizer, part, str(model.revision), limit=model.max_length
        )
        return self._scored(tokens, batch_size=self.config.evaluation.batch_size)

    def require_assets(self, assets_hash: str, *, what: str) -> None:
        """Refuse to be used with other labels than it was trained on."""
        if self.manifest.assets_hash != assets_hash:
            raise ArtifactError(
                f"checkpoint {self.path} was trained on other labels than {what} has (its own: "
                f"{', '.join(self.labels)}). Train again (`kedro run --pipeline classify.train`) "
                "or choose the matching version with --load-versions"
            )

    def identity(self) -> Report:
        """Which weights these are, for reports."""
        return {
            "checkpoint": str(self.path),
            "weights": self.which,
            "epoch": self.manifest.weights(self.which).epoch,
            "fingerprint": self.manifest.fingerprint,
        }

    def configuration(self) -> Report:
        """How they came to be, for reports."""
        config = self.config
        return {
            "config": {
                "seed": config.seed,
                "precision": config.training.precision,
                "split": config.split.model_dump(mode="json"),
                "model": config.model.model_dump(mode="json"),
            }
        }

    def _scored(self, tokens: Tokens, *, batch_size: int) -> Logits:
        found = np.zeros((len(tokens), len(self.labels)))
        for rows in EvalOrder(tokens.lengths, batch_size=batch_size).batches():
            ids, real = (torch.from_numpy(a) for a in tokens.padded(rows, pad=self.model.pad))
            with torch.inference_mode(), self._autocast():
                logits = self.model(ids.to(self.device), real.to(self.device))
            found[rows] = logits.double().cpu().numpy()
        return found

    def _autocast(self) -> AbstractContextManager[Any]:
        """Computed in the precision that training validated in."""
        dtype = _AUTOCAST.get(self.config.training.precision)
        if dtype is None or (dtype is torch.float16 and self.device.type == "cpu"):
            return nullcontext()
        return torch.autocast(self.device.type, dtype=dtype)


def load_classifier(path: Path, which: Which = "best", *, device: str | None = None) -> Classifier:
    """Open a checkpoint. `device` is where to compute; without one, where it was trained."""
    checkpoint = open_checkpoint(path)
    config = _config(checkpoint)
    labels = read_labels(checkpoint.assets)
    model = _model(checkpoint, config, which, num_labels=len(labels))
    place = _place(device or _device(config.training.accelerator))
    return Classifier(
        checkpoint=checkpoint,
        which=which,
        config=config,
        labels=labels,
        model=model.to(place).eval(),
        tokenizer=load_tokenizer(checkpoint.assets),
        device=place,
    )


def _config(checkpoint: Checkpoint) -> ClassifyConfig:
    task = checkpoint.manifest.task
    if task != "classify":
        raise ArtifactError(
            f"checkpoint {checkpoint.path} belongs to the task {task}, not to classify; {NEXT_STEP}"
        )
    try:
        return ClassifyConfig.model_validate(checkpoint.manifest.config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "config"
        raise ArtifactError(
            f"checkpoint {checkpoint.path} holds a configuration that this version of seqtune does "
            f"not understand: {key}: {first['msg']}; {NEXT_STEP}"
        ) from error


def _model(
    checkpoint: Checkpoint, config: ClassifyConfig, which: Which, *, num_labels: int
) -> TextClassifier:
    path = checkpoint.weights_path(which)
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and then replaced
        model = TextClassifier(
            empty_encoder(checkpoint.assets), config.model, num_labels=num_labels
        )
    try:
        weights = {name.removeprefix(PREFIX): value for name, value in load_file(path).items()}
        model.load_state_dict(weights)
    except SafetensorError as error:
        raise ArtifactError(f"{path} cannot be read as weights ({error}); {NEXT_STEP}") from error
    except RuntimeError as error:  # a tensor is missing, or of another shape
        raise ArtifactError(
            f"the weights in {path} do not fit the configuration beside them "
            f"({' '.join(str(error).split())}); {NEXT_STEP}"
        ) from error
    return model


def _device(accelerator: str) -> str:
    """Where the configuration wants to compute, as far as this machine can."""
    if accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    if accelerator not in ("auto", "cpu"):
        logger.warning("trained with accelerator=%s; this machine has none, using cpu", accelerator)
    return "cpu"


def _place(device: str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # no such name, or no such hardware
        raise ConfigurationError(
            f"device={device!r} cannot be used on this machine ({str(error).splitlines()[0]}); "
            "give 'cpu', or None to have it chosen"
        ) from error
