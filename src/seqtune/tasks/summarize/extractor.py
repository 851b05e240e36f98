"""A baseline that picks utterances of the dialogue, as a member of an ensemble."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtune.core.checkpoint import Which
from seqtune.inference import select_device

from .baselines import BASELINES
from .data import SummarizeData
from .decoder import GeneratedTexts
from .params import SummarizeConfig
from .scorer import Summarizer, describe


@dataclass(frozen=True)
class Extractor(Summarizer):
    """A baseline by its name; it has no weights."""

    def summarise(self, dialogues: Sequence[str], *, batch_size: int) -> GeneratedTexts:  # noqa: ARG002
        start = time.perf_counter()
        texts = [*map(BASELINES[self.manifest.baseline], dialogues)]
        seconds = (time.perf_counter() - start) / max(1, len(texts))
        return GeneratedTexts(texts, np.zeros(len(texts), np.bool_), seconds)


def fit(_data: SummarizeData, _config: SummarizeConfig, *, assets: Path) -> dict[str, np.ndarray]:
    """Fit nothing: only the name is stored."""
    del assets
    return {}


def load_extractor(path: Path, which: Which = "best", *, device: str | None = None) -> Extractor:
    """Open the checkpoint of a baseline."""
    info = describe(path, which)
    info.checkpoint.weights_path(which)  # raises if it was changed
    return Extractor(**vars(info), device=select_device(device, info.config.training.accelerator))
