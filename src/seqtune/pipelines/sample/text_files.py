"""Writes the sample data of the tasks on text, and tiny models to train on it.

The models have random weights and tokenisers that were trained on the texts: real in all but size,
and folders like those that a user would copy.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from seqtune.contracts.seeds import derive_seed
from seqtune.text.tiny import MAKERS

from .complaints import LABELS, complaints
from .dialogues import dialogues
from .generate import rng_of
from .params import SampleParameters

CLASSIFY_MODELS = ("electra", "bert", "roberta")
SUMMARIZE_MODELS = ("kobart", "llama")
HIDDEN = 64
"""Learns something in a minute on one core."""


def generate_texts(parameters: SampleParameters, *, out: Path) -> tuple[Path, ...]:
    """`texts.tsv`, then a folder for each of `CLASSIFY_MODELS`."""
    rows = list(complaints(rng_of(parameters, "texts"), parameters.num_texts))
    path = out / "texts.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("text", *LABELS))
        writer.writerows((text, *labels) for text, labels in rows)
    return path, *_models(parameters, CLASSIFY_MODELS, [text for text, _ in rows], out)


def generate_dialogues(parameters: SampleParameters, *, out: Path) -> tuple[Path, ...]:
    """`dialogues.jsonl`, then a folder for each of `SUMMARIZE_MODELS`."""
    made = list(dialogues(rng_of(parameters, "dialogues"), parameters.num_dialogues))
    path = out / "dialogues.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(made):
            named = {"fname": f"sample_{number}", **asdict(row)}
            file.write(json.dumps(named, ensure_ascii=False) + "\n")
    texts = [text for row in made for text in (row.dialogue, row.summary)]
    return path, *_models(parameters, SUMMARIZE_MODELS, texts, out)


def _models(
    parameters: SampleParameters, names: Sequence[str], texts: Sequence[str], out: Path
) -> list[Path]:
    seeds = {name: derive_seed(parameters.seed, "sample", name) for name in names}
    return [
        MAKERS[name](out / name, texts, hidden=HIDDEN, seed=seed) for name, seed in seeds.items()
    ]
