"""Serve a classifier through MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.serving import Answers, Column, ColumnKind, Rows, Served
from seqtune.text.rows import Cleaner

from .ensemble import LoadedClassifiers, open_model
from .thresholds import HALF, Floats

TEXT = "text"
BATCH_SIZE = 64
ANSWER: dict[str, ColumnKind] = {
    "label": "text",
    "probability": "number",
    "threshold": "number",
    "given": "integer",
}


def open_served(folder: Path) -> Served:
    """Open a checkpoint or an ensemble: it takes a `text` and answers with each label's
    probability, threshold and decision.

    Thresholds are those tuned on valid (0.5 if there was none), unless the setting `thresholds`
    (JSON: one number, or one for each label) gives others.
    """
    model = open_model(folder)
    own = dict(zip(model.labels, model.thresholds.tolist(), strict=True))
    thresholds = json.dumps(own, ensure_ascii=False) if model.is_decided else str(HALF)
    return Served(
        columns=(Column(TEXT, "text"),),
        settings={"only_given": False, "thresholds": thresholds},
        answer=ANSWER,
        example=[{TEXT: "a text"}, {TEXT: "another one"}],
        answers=partial(_answer, model),
    )


def _answer(model: LoadedClassifiers, rows: Rows, settings: Mapping[str, Any]) -> Answers:
    clean = Cleaner("texts", model.config.ingest.max_characters)
    thresholds = _parse_thresholds(settings["thresholds"], model.labels)
    texts = [clean(_read_text(row)) for row in rows]
    found = model.probabilities(texts, batch_size=BATCH_SIZE)  # [N, L]
    lists = [_label_lines(model.labels, probabilities, thresholds) for probabilities in found]
    if settings["only_given"]:
        return [[line for line in lines if line["given"]] for lines in lists]
    return lists


def _label_lines(
    labels: Sequence[str], probabilities: Floats, thresholds: Floats
) -> list[dict[str, Any]]:
    """Return all labels of a text, most probable first."""
    return [
        {
            "label": labels[label],
            "probability": float(probabilities[label]),
            "threshold": float(thresholds[label]),
            "given": int(probabilities[label] >= thresholds[label]),
        }
        for label in np.argsort(-probabilities, kind="stable")
    ]


def _read_text(row: Mapping[str, Any]) -> str:
    text = row.get(TEXT)
    if not isinstance(text, str):
        raise DataError(f"{TEXT} must be a text, not {text!r}")
    return text


def _parse_thresholds(value: str, labels: Sequence[str]) -> Floats:
    """Return the threshold of each label [L]."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    own = found if isinstance(found, dict) else dict.fromkeys(labels, found)
    if own.keys() != set(labels) or not all(map(_is_probability, own.values())):
        raise ConfigurationError(
            f"thresholds={value!r} must be JSON: a number from 0 to 1, or an object with one for "
            f"each of the labels {', '.join(labels)}"
        )
    return np.array([float(own[label]) for label in labels])


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
