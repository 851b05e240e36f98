"""The same songs for a recurrent network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import recommend
from recommend import BROKEN as BROKEN
from recommend import broken as broken
from recommend import new_rows as new_rows
from recommend import write as write


def values(folder: Path) -> dict[str, Any]:
    found = recommend.values(folder)
    model = {"architecture": "gru4rec", "hidden_units": 8, "num_layers": 1, "max_len": 6}
    return {**found, "model": model}
