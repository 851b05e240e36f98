"""Serve a summariser with MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from seqtune.core.errors import DataError
from seqtune.core.serving import Answers, Column, Rows, Served
from seqtune.text.rows import Cleaner

from .ensemble import SummarizerEnsemble, open_model

DIALOGUE, SUMMARY = "dialogue", "summary"
EXAMPLE = "#Person1#: Shall we have dinner tonight?\n#Person2#: Gladly. At seven?\n#Person1#: Fine."


def open_served(folder: Path) -> Served:
    """Load the folder of a checkpoint or an ensemble, on the GPU if there is one."""
    return Served(
        columns=(Column(DIALOGUE, "text"),),
        settings={},
        answer={SUMMARY: "text"},
        example=[{DIALOGUE: EXAMPLE}],
        answers=partial(_answers, open_model(folder).load()),
    )


def _answers(model: SummarizerEnsemble, rows: Rows, _settings: Mapping[str, Any]) -> Answers:
    clean = Cleaner("dialogues", model.config.ingest.max_characters)
    dialogues = [clean(_dialogue(row)) for row in rows]
    written = model.summarise(dialogues, batch_size=model.config.evaluation.batch_size)
    return [[{SUMMARY: text}] for text in written.texts]


def _dialogue(row: Mapping[str, Any]) -> str:
    text = row.get(DIALOGUE)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{DIALOGUE} must be a text that says something, not {text!r:.60}")
    return text
