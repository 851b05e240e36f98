"""The split of dialogues with their summaries.

Columns of each part: row (int64, number of the ingested dialogue), id (string), dialogue (string),
summaries (list of string, one for each reference), topic (string or null), augmented (bool, only
ever true in train).

Texts stand there as they came: preprocessing is searched, so it belongs to the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqtune.text.split import Part, TextSplit

from .params import SummarizeConfig

ROW, ID, DIALOGUE, SUMMARIES, TOPIC, AUGMENTED = COLUMNS = (
    "row",
    "id",
    "dialogue",
    "summaries",
    "topic",
    "augmented",
)


@dataclass(frozen=True)
class SummarizeData(TextSplit):
    """An opened split of `summarize`."""

    def ids(self, part: Part) -> list[str]:
        found: list[str] = self.table(part)[ID].to_pylist()
        return found

    def dialogues(self, part: Part) -> list[str]:
        found: list[str] = self.table(part)[DIALOGUE].to_pylist()
        return found

    def references(self, part: Part) -> list[list[str]]:
        """Summaries of each dialogue, at least one."""
        found: list[list[str]] = self.table(part)[SUMMARIES].to_pylist()
        return found

    def write_assets(self, directory: Path, config: SummarizeConfig) -> None:
        """The tokeniser with its added tokens, and of the model all but its weights."""
        from .model import write_model_assets

        directory.mkdir(parents=True, exist_ok=True)
        write_model_assets(directory, config, self)
