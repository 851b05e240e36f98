"""How an encoder turns the tokens of a text into one vector, as its own files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from .pretrained import CONFIG, POOLING

Pooling = Literal["first", "mean"]
SENTENCE_TRANSFORMERS: dict[str, Pooling] = {"cls": "first", "mean": "mean"}
"""Names of modes that sentence-transformers and ModernBERT write."""
FLAGS: dict[str, Pooling] = {"pooling_mode_cls_token": "first", "pooling_mode_mean_tokens": "mean"}
"""The same in older files: the one that is true."""


def pooling_of(folder: Path) -> tuple[Pooling, str]:
    """Return the pooling that a model was trained with, and where that is said."""
    own = _read(folder / POOLING)
    modes = [mode for flag, mode in FLAGS.items() if own.get(flag) is True]
    if named := SENTENCE_TRANSFORMERS.get(str(own.get("pooling_mode"))):
        modes = [named]
    if len(modes) == 1:
        return modes[0], POOLING
    described = _read(folder / CONFIG).get("classifier_pooling")  # ModernBERT
    if described in SENTENCE_TRANSFORMERS:
        return SENTENCE_TRANSFORMERS[described], CONFIG
    return "first", f"files, which name no other ({POOLING})"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
