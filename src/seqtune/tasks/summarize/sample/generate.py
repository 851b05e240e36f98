"""Writes the sample data as the files a user would bring."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from seqtune.contracts.sample import SampleParameters
from seqtune.text.tiny import MAKERS

from .dialogues import dialogues

MODELS = ("kobart", "llama")

HIDDEN = 64
"""Learns something in a minute on one core."""


def generate(parameters: SampleParameters, *, out: Path) -> tuple[Path, ...]:
    """`dialogues.jsonl`, then a folder for each of `MODELS`."""
    made = list(dialogues(parameters.rng("dialogues"), parameters.num_dialogues))
    path = out / "dialogues.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(made):
            named = {"fname": f"sample_{number}", **asdict(row)}
            file.write(json.dumps(named, ensure_ascii=False) + "\n")
    texts = [text for row in made for text in (row.dialogue, row.summary)]
    models = [
        MAKERS[name](out / name, texts, hidden=HIDDEN, seed=parameters.seed_of(name))
        for name in MODELS
    ]
    return path, *models
