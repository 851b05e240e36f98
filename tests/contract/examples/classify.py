"""Short texts that say by their words which labels they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seqtune.core.task import Sources
from tiny_models import make_electra

LABELS = ("food", "sport", "rude")
WORDS = {"food": "bread soup", "sport": "ball goal", "rude": "욕설 나쁜"}
FILLING = ["the", "a", "one", "day", "we", "saw", "there", "오늘", "우리"]
BROKEN = r"texts\.tsv.*text"


def write(folder: Path, *, other: bool = False) -> Sources:
    labels = (*LABELS[:2], "kind") if other else LABELS
    rows = [f"{text}\t" + "\t".join(map(str, own)) for text, own in _texts()]
    file = folder / "texts.tsv"
    header = "text\t" + "\t".join(labels)
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    make_electra(folder / "model", [text for text, _ in _texts()])
    return {"texts": (file,), "test_texts": ()}


def broken(folder: Path) -> Sources:
    file = folder / "texts.tsv"
    file.write_text("words\tfood\nbread\t1\n", encoding="utf-8")
    return {"texts": (file,), "test_texts": ()}


def values(folder: Path) -> dict[str, Any]:
    return {
        "split": {"valid_share": 0.25, "test_share": 0.25, "minority_share": 0.5},
        "model": {
            "name": str(folder / "model"),
            "max_length": 24,
            "gradient_checkpointing": False,
        },
        "training": {"batch_size": 8, "accumulate_grad_batches": 1, "lr": 0.001},
        "evaluation": {"batch_size": 8, "train_metric_rows": 8},
    }


def new_rows(folder: Path) -> Path:
    file = folder / "new_texts.tsv"
    file.write_text("text\na goal we saw\n욕설\n", encoding="utf-8")
    return file


def _texts() -> list[tuple[str, list[int]]]:
    random = np.random.default_rng(3)
    found = []
    for number in range(96):
        own = (random.random(len(LABELS)) < (0.4, 0.4, 0.3)).astype(int).tolist()
        words = [random.choice(WORDS[n].split()) for n, y in zip(LABELS, own, strict=True) if y]
        words += random.choice(FILLING, 1 + int(10 * random.random())).tolist()
        random.shuffle(words)
        found.append((f"{' '.join(words)} {number}", own))
    return found
