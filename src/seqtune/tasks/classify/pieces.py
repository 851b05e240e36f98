"""What models say, piece by piece; any process can make any piece.

First come pieces of what was held out: some batches each, by one model. The batches are those of
`evaluate`, so that thresholds are the same to the last bit. Chunks of new texts come after them,
each by all models.

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
from .scorer import Batches, Logits
from .thresholds import Floats


class Piece(NamedTuple):
    """Some batches of a part that was held out, by one model."""

    part: Part
    model: str
    first: int
    num_batches: int


class Said(NamedTuple):
    """What models say about some texts."""

    rows: Rows  # [N]
    """Where the texts stand in their part, or in their chunk."""
    logits: Mapping[str, Logits]  # [N, L] each
    """By the name of the model."""


@dataclass(frozen=True)
class Asked:
    """All that is asked of a checkpoint or an ensemble."""

    checkpoint: Path
    data: ClassifyData
    settings: PredictConfig
    pieces: tuple[Piece, ...]
    new_texts: Chunks

    def __len__(self) -> int:
        return len(self.pieces) + len(self.new_texts)

    def __call__(self) -> Callable[[int], Said]:
        opened = open_model(self.checkpoint, self.settings.weights)

        @cache
        def batches(part: Part, model: str) -> Batches:
            return opened.members[model].batches_of(self.data, part)

        def say(number: int) -> Said:
            if number < len(self.pieces):
                part, model, first, count = self.pieces[number]
                rows, logits = batches(part, model).some(first, count)
                return Said(rows, {model: logits})
            texts = self.new_texts[number - len(self.pieces)][TEXT].to_pylist()
            said = opened.logits(texts, batch_size=self.settings.batch_size)
            return Said(np.arange(len(texts)), said)

        return say


def pieces_of(
    told: ClassifierEnsemble[Any], data: ClassifyData, parts: Iterable[Part], *, num_batches: int
) -> tuple[Piece, ...]:
    """Everything of some parts, by all models."""
    return tuple(
        Piece(part, name, first, num_batches)
        for part in parts
        for name, model in told.members.items()
        for first in range(
            0, -(-data.num_rows(part) // model.config.evaluation.batch_size), num_batches
        )
    )


def put_together(
    told: ClassifierEnsemble[Any], data: ClassifyData, pieces: Iterable[Piece], said: Iterator[Said]
) -> dict[Part, Floats]:
    """Probabilities [N, L] of whole parts; takes what was said of these pieces and no more."""
    whole: dict[Part, dict[str, Logits]] = {}
    for piece, (rows, logits) in zip(pieces, said, strict=False):
        empty = np.zeros((data.num_rows(piece.part), len(told.labels)))
        found = whole.setdefault(piece.part, {}).setdefault(piece.model, empty)
        found[rows] = logits[piece.model]
    return {part: told.combined(logits) for part, logits in whole.items()}
