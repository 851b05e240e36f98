"""Dialogues of two people about a thing, and who of them has it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from seqtune.core.task import Sources
from tiny_models import make_kobart

THINGS = ["book", "ball", "soup", "car", "coat", "key", "우산", "사과"]
VERBS = ["lost", "found", "sold", "bought", "hid", "took"]
BROKEN = r"dialogues\.csv.*dialogue"


def write(folder: Path, *, other: bool = False) -> Sources:
    rows = list(reversed(_rows())) if other else _rows()
    file = _file(folder / "dialogues.csv", ["fname", "dialogue", "summary"], rows)
    make_kobart(folder / "model", [text for _, *texts in rows for text in texts])
    return {"dialogues": (file,), "valid_dialogues": (), "test_dialogues": ()}


def broken(folder: Path) -> Sources:
    file = _file(folder / "dialogues.csv", ["fname", "talk", "summary"], _rows()[:2])
    return {"dialogues": (file,), "valid_dialogues": (), "test_dialogues": ()}


def values(folder: Path) -> dict[str, Any]:
    return {
        "split": {"valid_share": 0.2, "test_share": 0.2},
        "preprocess": {"max_input_length": 96, "max_target_length": 24},
        "model": {"name": str(folder / "model")},
        "training": {"batch_size": 8, "accumulate_grad_batches": 1, "lr": 0.003},
        "generation": {"beams": 2, "max_new_tokens": 12},
        "evaluation": {"batch_size": 8, "max_new_tokens": 12, "num_examples": 2},
    }


def new_rows(folder: Path) -> Path:
    rows = [["n1", "#Person1#: Who lost the book?\n#Person2#: I did."]]
    return _file(folder / "new_dialogues.csv", ["fname", "dialogue"], rows)


def _rows() -> list[list[str]]:
    return [
        [
            f"d{number}",
            f"#Person1#: Who {verb} the {thing}?\n#Person2#: I {verb} the {thing}.",
            f"#Person2# {verb} the {thing}.",
        ]
        for number, (thing, verb) in enumerate((t, v) for t in THINGS for v in VERBS)
    ]


def _file(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path
