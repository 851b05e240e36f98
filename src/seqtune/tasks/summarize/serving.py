"""A summariser that answers rows: what MLflow serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtune.contracts.errors import DataError
from seqtune.contracts.serving import Column, ColumnKind
from seqtune.text.rows import Cleaner

from .ensemble import SummarizerEnsemble, open_model

DIALOGUE, SUMMARY = "dialogue", "summary"
EXAMPLE = "#Person1#: Shall we have dinner tonight?\n#Person2#: Gladly. At seven?\n#Person1#: Fine."


@dataclass(frozen=True)
class ServedSummarizer:
    """Rows with a dialogue in, a summary of each out."""

    model: SummarizerEnsemble

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column(DIALOGUE, "text"),)

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    @property
    def answer(self) -> dict[str, ColumnKind]:
        return {SUMMARY: "text"}

    @property
    def example(self) -> list[dict[str, Any]]:
        return [{DIALOGUE: EXAMPLE}]

    def answers(
        self, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
    ) -> list[list[dict[str, Any]]]:
        del settings
        config = self.model.config
        clean = Cleaner("dialogues", config.ingest.max_characters)
        dialogues = [clean(_dialogue(row)) for row in rows]
        written = self.model.summarise(dialogues, batch_size=config.evaluation.batch_size)
        return [[{SUMMARY: text}] for text in written.texts]


def open_served(folder: Path) -> ServedSummarizer:
    """From the folder of a checkpoint or an ensemble, on the CPU or on the GPU there is."""
    opened = open_model(folder)
    return ServedSummarizer(opened.load() if opened.ensemble else opened)


def _dialogue(row: Mapping[str, Any]) -> str:
    text = row.get(DIALOGUE)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{DIALOGUE} must be a text that says something, not {text!r:.60}")
    return text
