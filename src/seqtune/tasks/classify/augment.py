"""AEDA (Karimi, Rossi and Prati, 2021): augment rows of rare labels with random punctuation.

Only the fit part is augmented, after the split, so that no copy leaks into another part.
Shapes: N rows, L labels.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from seqtune.core.seeds import derive_seed

from .data import Targets

MARKS = (".", ",", "!", "?", ";", ":")
LARGEST_SHARE = 0.3
"""Largest share of words that get a mark in front of them."""
_WORD = re.compile(r"\S+")


def rare_rows(targets: Targets, minority_share: float) -> npt.NDArray[np.bool_]:
    """Mark rows with at least one label whose share of positives is smaller [N]."""
    positives = targets.sum(axis=0, dtype=np.int64)
    rare = (positives > 0) & (positives < minority_share * len(targets))  # [L]
    return np.asarray((targets[:, rare] > 0).any(axis=1), bool)


def punctuate(text: str, *, seed: int) -> str:
    """Copy a text with marks in front of 1 to 0.3 x as many words as it has."""
    starts = [word.start() for word in _WORD.finditer(text)]
    if not starts:
        return text
    random = np.random.default_rng(seed)
    num = int(random.integers(1, max(1, int(LARGEST_SHARE * len(starts))) + 1))
    places = sorted(random.choice(len(starts), num, replace=False).tolist(), reverse=True)
    for place in places:
        mark = MARKS[int(random.integers(len(MARKS)))]
        text = f"{text[: starts[place]]}{mark} {text[starts[place] :]}"
    return text


def copies_of(text: str, row: int, *, num: int, seed: int) -> list[str]:
    """Make augmented copies of one row; they depend only on the row and the seed."""
    return [punctuate(text, seed=derive_seed(seed, "aeda", row, copy)) for copy in range(num)]
