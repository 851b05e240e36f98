"""The split of dialogues with their summaries.

Columns: row (int64, number of the ingested dialogue), id (string), dialogue (string), summaries
(list of string, one for each reference), topic (string or null), augmented (string: kind of the
augmentation, "" for original rows, which come first). Texts are not preprocessed here, because
tuning may search the preprocessing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from seqtune.core.seeds import derive_seed
from seqtune.text.split import Part, TextSplit

from .params import KINDS, PreprocessConfig, SummarizeConfig
from .preprocess import clean, find_marks

ROW, ID, DIALOGUE, SUMMARIES, TOPIC, AUGMENTED = COLUMNS = (
    "row",
    "id",
    "dialogue",
    "summaries",
    "topic",
    "augmented",
)
MARKS = "marks.json"
OWN = ""
"""Value of the column `augmented` for an original row."""
AUGMENTATION = "augmentation"
"""Key in the facts of a split: the augmentations."""


@dataclass(frozen=True)
class SummarizeData(TextSplit):
    """An opened split of `summarize`."""

    def ids(self, part: Part) -> list[str]:
        found: list[str] = self.table(part)[ID].to_pylist()
        return found

    def dialogues(self, part: Part, *, augmentation: str = "both") -> list[str]:
        """Return original rows, and augmented rows of the given kinds."""
        found: list[str] = self._rows(part, augmentation)[DIALOGUE].to_pylist()
        return found

    def references(self, part: Part, *, augmentation: str = "both") -> list[list[str]]:
        """Return the summaries of each dialogue, at least one."""
        found: list[list[str]] = self._rows(part, augmentation)[SUMMARIES].to_pylist()
        return found

    @property
    def made_up(self) -> tuple[str, ...]:
        """Kinds of augmented rows in train."""
        return tuple(one["kind"] for one in self.manifest.facts.get(AUGMENTATION, ()))

    def taken(self, augmentation: str) -> list[str]:
        """Return the kinds of augmented rows that training takes."""
        return [kind for kind in self.made_up if kind in KINDS[augmentation]]

    def sample(self, part: Part, most: int, *, seed: int) -> npt.NDArray[np.int64]:
        """Return a fixed, sorted sample of a part's original rows, for validation and decoding."""
        own = compute.equal(self.table(part)[AUGMENTED], OWN).to_numpy()
        random = np.random.default_rng(derive_seed(seed, "summarised", part))
        return np.sort(random.permutation(int(own.sum()))[:most])

    def marks(self, config: PreprocessConfig) -> list[str]:
        """Return the placeholders of the fit part that become tokens; cached."""
        if not config.special_tokens:
            return []
        key = {
            "noise_removal": config.noise_removal,
            "person_tokens": config.person_tokens,
            "augmentation": self.taken(config.augmentation),
        }
        file = self.made("marks", key, lambda folder: self._write_marks(folder, config)) / MARKS
        found: list[str] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def _write_marks(self, folder: Path, config: PreprocessConfig) -> None:
        dialogues = self.dialogues("train", augmentation=config.augmentation)
        marks = find_marks((clean(text, config) for text in dialogues), config)
        (folder / MARKS).write_text(json.dumps(marks, ensure_ascii=False), encoding="utf-8")

    def write_assets(self, directory: Path, config: SummarizeConfig) -> None:
        """Write the tokeniser with its added tokens, and the model without its weights."""
        from .model import write_model_assets

        directory.mkdir(parents=True, exist_ok=True)
        write_model_assets(directory, config, self)

    def _rows(self, part: Part, augmentation: str) -> pa.Table:
        table, kinds = self.table(part), (OWN, *KINDS[augmentation])
        return table.filter(compute.is_in(table[AUGMENTED], pa.array(kinds)))
