"""The split of labelled texts, and what is cached with it.

Columns: row (int64, number of the ingested text), id (string), text (string), labels (list of
int8), augmented (bool, true in train only).
Shapes: N texts, L labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seqtune.text.pretrained import identity, load_config, load_tokenizer, locate_model
from seqtune.text.split import Part, TextSplit
from seqtune.text.tokens import Tokens, audit, encoder_of, num_closing, write_tokens

from .params import ClassifyConfig, ModelConfig

LABELS_FILE = "labels.json"
NAME = "classify.model.name"
ROW, ID, TEXT, LABELS, AUGMENTED = COLUMNS = ("row", "id", "text", "labels", "augmented")
Targets = npt.NDArray[np.int8]


@dataclass(frozen=True)
class ClassifyData(TextSplit):
    """An opened split of `classify`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of their columns."""
        return tuple(self.manifest.facts["labels"])

    @property
    def positives(self) -> npt.NDArray[np.int64]:
        """Positives of each label in the fit part, before augmentation [L]."""
        return np.asarray(self.manifest.facts["fit_positives"], np.int64)

    @property
    def num_fit_rows(self) -> int:
        """Rows of the fit part before augmentation."""
        return int(self.manifest.facts["fit_rows"])

    def texts(self, part: Part) -> list[str]:
        found: list[str] = self.table(part)[TEXT].to_pylist()
        return found

    def targets(self, part: Part) -> Targets:
        """0 and 1 [N, L]."""
        column = self.table(part)[LABELS].combine_chunks()
        flat = np.asarray(column.flatten(), np.int8)
        return flat.reshape(len(column), len(self.labels))

    @cached_property
    def is_augmented(self) -> npt.NDArray[np.bool_]:
        """Marks the augmented rows of train [N]."""
        return np.asarray(self.table("train")[AUGMENTED].to_numpy(zero_copy_only=False), bool)

    def tokens(self, part: Part, model: ModelConfig) -> Tokens:
        """Return the tokens of a part for a model; computed once for each split."""
        folder = model_folder(model)
        return self.tokens_by(
            lambda: load_tokenizer(folder), part, identity(folder), limit=model.token_limit
        )

    def tokens_by(
        self, tokenizer: Callable[[], Any], part: Part, revision: str, *, limit: int
    ) -> Tokens:
        """Return the tokens of a part by the tokeniser of a model of this revision."""
        key = {"model": revision, "part": part, "max_length": limit}

        def write(out: Path) -> None:
            write_texts(out, self.texts(part), tokenizer(), limit=limit)

        return Tokens.open(self.made("tokens", key, write))

    def write_assets(self, directory: Path, config: ClassifyConfig) -> None:
        """Write labels, tokeniser and model configuration, so that a checkpoint needs no hub."""
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.labels, ensure_ascii=False)
        (directory / LABELS_FILE).write_text(text + "\n", encoding="utf-8")
        folder = model_folder(config.model)
        load_tokenizer(folder).save_pretrained(directory)
        load_config(folder).save_pretrained(directory)


def label_lists(targets: Targets) -> pa.ListArray:
    """Convert targets [N, L] to a column."""
    ends = np.arange(len(targets) + 1, dtype=np.int32) * targets.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(targets.ravel(), pa.int8()))


def model_folder(model: ModelConfig) -> Path:
    """Return the local folder of a model."""
    return locate_model(model, key=NAME)


def write_texts(out: Path, texts: Sequence[str], tokenizer: Any, *, limit: int) -> None:
    """Write the tokens of texts, cut to a limit in front of their closing tokens."""
    closing = num_closing(tokenizer)
    write_tokens(out, texts, encoder_of(tokenizer), limit=limit, keep_last=closing)


def truncation(config: ClassifyConfig, data: ClassifyData) -> dict[str, dict[str, Any]]:
    """Count the texts that are cut, by part; JSON-ready."""
    parts: tuple[Part, ...] = ("train", "valid")
    return {
        part: audit(data.tokens(part, config.model).full_lengths, config.model.token_limit)
        for part in parts
        if data.num_rows(part)
    }
