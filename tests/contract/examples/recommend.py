"""Forty people who each go round the same twelve songs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqtune.core.task import Sources

BROKEN = r"interactions\.csv.*user"


def write(folder: Path, *, other: bool = False) -> Sources:
    rows = [
        f"{user},song {(user * step + other) % 12},{1000 + step}"
        for user in range(1, 41)
        for step in range(1, 9)
    ]
    file = folder / "interactions.csv"
    file.write_text("\n".join(["user,item,time", *rows, ""]), encoding="utf-8")
    return {"interactions": (file,)}


def broken(folder: Path) -> Sources:
    file = folder / "interactions.csv"
    file.write_text("who,item,time\n1,a,1\n", encoding="utf-8")
    return {"interactions": (file,)}


def values(_folder: Path) -> dict[str, Any]:
    return {
        "preset": "none",
        "model": {"hidden_units": 8, "num_heads": 2, "num_layers": 1, "max_len": 6},
        "training": {"batch_size": 8, "monitor": "val_ndcg@5"},
        "evaluation": {"ks": [1, 5], "batch_size": 2, "train_metric_users": 4},
    }


def new_rows(folder: Path) -> Path:
    file = folder / "new_users.csv"
    file.write_text("user,item,time\nx,song 1,1\nx,song 2,2\n", encoding="utf-8")
    return file
