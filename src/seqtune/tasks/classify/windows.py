"""Logits of a prediction, window by window; any process can compute any window.

Windows of held-out parts come first. Each holds some batches of `evaluate` by one model, so that
thresholds are equal bit for bit. Chunks of new texts follow, each scored by all models.
Shapes: N texts, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqtune.batching import Chunks, Rows
from seqtune.text.split import Part

from .data import TEXT, ClassifyData
from .ensemble import ClassifierEnsemble, open_model
from .params import PredictConfig
from .scorer import Logits, ScoringBatches
from .thresholds import Floats


class Window(NamedTuple):
    """Some batches of a held-out part, scored by one model."""

    part: Part
    model: str
    first: int
    num_batches: int


class WindowLogits(NamedTuple):
    """Logits of some texts."""

    rows: Rows  # [N], places in the part or the chunk
    logits: Mapping[str, Logits]  # [N, L] each, by model name


@dataclass(frozen=True)
class LogitParts:
    """All windows that a prediction by a checkpoint or an ensemble needs."""

    checkpoint: Path
    data: ClassifyData
    settings: PredictConfig
    windows: tuple[Window, ...]
    new_texts: Chunks

    def __len__(self) -> int:
        return len(self.windows) + len(self.new_texts)

    def __call__(self) -> Callable[[int], WindowLogits]:
        opened = open_model(self.checkpoint, self.settings.weights)

        @cache
        def batches(part: Part, model: str) -> ScoringBatches:
            return opened.members[model].batches_of(self.data, part)

        def score(number: int) -> WindowLogits:
            if number < len(self.windows):
                part, model, first, count = self.windows[number]
                rows, logits = batches(part, model).some(first, count)
                return WindowLogits(rows, {model: logits})
            texts = self.new_texts[number - len(self.windows)][TEXT].to_pylist()
            found = opened.logits(texts, batch_size=self.settings.batch_size)
            return WindowLogits(np.arange(len(texts)), found)

        return score


def windows_of(
    info: ClassifierEnsemble[Any], data: ClassifyData, parts: Iterable[Part], *, num_batches: int
) -> tuple[Window, ...]:
    """Divide some parts into windows, for each model."""
    return tuple(
        Window(part, name, first, num_batches)
        for part in parts
        for name, model in info.members.items()
        for first in range(
            0, -(-data.num_rows(part) // model.config.evaluation.batch_size), num_batches
        )
    )


def assemble(
    info: ClassifierEnsemble[Any],
    data: ClassifyData,
    windows: Iterable[Window],
    found: Iterator[WindowLogits],
) -> dict[Part, Floats]:
    """Assemble probabilities [N, L] of whole parts; consumes only the logits of these windows."""
    whole: dict[Part, dict[str, Logits]] = {}
    for window, (rows, logits) in zip(windows, found, strict=False):
        empty = np.zeros((data.num_rows(window.part), len(info.labels)))
        own = whole.setdefault(window.part, {}).setdefault(window.model, empty)
        own[rows] = logits[window.model]
    return {part: info.combined(logits) for part, logits in whole.items()}
