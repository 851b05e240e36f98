"""A classifier that answers rows: what MLflow serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtune.contracts.errors import DataError
from seqtune.contracts.serving import Column, ColumnKind

from .ensemble import Opened, open_model
from .thresholds import Floats

TEXT = "text"
BATCH_SIZE = 64
EXAMPLES = ("a text", "another one")


@dataclass(frozen=True)
class ServedClassifier:
    """Rows with a `text` in; for each label its probability and whether it is given, out.

    An ensemble gives a label from its own threshold on, a single model from 0.5.
    """

    model: Opened

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column(TEXT, "text"),)

    @property
    def settings(self) -> dict[str, Any]:
        return {"only_given": False}

    @property
    def answer(self) -> dict[str, ColumnKind]:
        return {"label": "text", "probability": "number", "given": "integer"}

    @property
    def example(self) -> list[dict[str, Any]]:
        return [{TEXT: text} for text in EXAMPLES]

    def answers(
        self, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
    ) -> list[list[dict[str, Any]]]:
        texts = [_text(row) for row in rows]
        found = self.model.probabilities(texts, batch_size=BATCH_SIZE)  # [N, L]
        lists = [self._lines(probabilities) for probabilities in found]
        if settings["only_given"]:
            return [[line for line in lines if line["given"]] for lines in lists]
        return lists

    def _lines(self, probabilities: Floats) -> list[dict[str, Any]]:
        """All labels, the likeliest first."""
        given = probabilities >= self.model.thresholds
        return [
            {
                "label": self.model.labels[label],
                "probability": float(probabilities[label]),
                "given": int(given[label]),
            }
            for label in np.argsort(-probabilities, kind="stable")
        ]


def open_served(folder: Path) -> ServedClassifier:
    """From the folder of a checkpoint or an ensemble, on the CPU or on the GPU there is."""
    return ServedClassifier(open_model(folder))


def _text(row: Mapping[str, Any]) -> str:
    text = row.get(TEXT)
    if not isinstance(text, str):
        raise DataError(f"{TEXT} must be a text, not {text!r}")
    return text
