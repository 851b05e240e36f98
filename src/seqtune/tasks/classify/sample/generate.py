"""Writes the sample data as the files a user would bring."""

from __future__ import annotations

import csv
from pathlib import Path

from seqtune.contracts.sample import SampleParameters
from seqtune.text.tiny import MAKERS

from .complaints import LABELS, complaints

MODELS = ("electra", "bert", "roberta")

HIDDEN = 64
"""Learns something in a minute on one core."""


def generate(parameters: SampleParameters, *, out: Path) -> tuple[Path, ...]:
    """`texts.tsv`, then a folder for each of `MODELS`."""
    rows = list(complaints(parameters.rng("texts"), parameters.num_texts))
    path = out / "texts.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("text", *LABELS))
        writer.writerows((text, *labels) for text, labels in rows)
    texts = [text for text, _ in rows]
    models = [
        MAKERS[name](out / name, texts, hidden=HIDDEN, seed=parameters.seed_of(name))
        for name in MODELS
    ]
    return path, *models
