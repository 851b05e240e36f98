"""Compute ROUGE-1, ROUGE-2 and ROUGE-L (F1) with several references, on one of these units:

words         between spaces and marks, lower case; letters and digits of any script
characters    the same without word borders
morphemes     of Korean, by Kiwi, without marks

A placeholder in hashes (#Person1#) is one unit; a Korean particle stays with its word. On plain
English, words and numbers equal those of rouge_score 0.1.2 without its stemmer.
Shapes: N texts; 3 is ROUGE-1, ROUGE-2, ROUGE-L.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seqtune.core.errors import ConfigurationError

Floats = npt.NDArray[np.float64]

ROUGE1, ROUGE2, ROUGE_L = NAMES = ("rouge1", "rouge2", "rougeL")
ROUGE_SUM = "rouge_sum"
METRICS = (*NAMES, ROUGE_SUM)
"""Names in reports; the sum is of the other three, from 0 to 3."""

_HELD = r"#[^\W_]+#"
_PLACEHOLDER = re.compile(_HELD)
_WORD = re.compile(rf"(?:{_HELD}|[^\W_])+")
_CHARACTER = re.compile(rf"{_HELD}|[^\W_]")


def logged_metrics(config: Any) -> dict[str, Literal["max", "min"]]:
    """Return what training logs, and whether higher or lower is better."""
    parts = ("val", "train") if config.evaluation.train_metric_rows else ("val",)
    return {
        "train_loss": "min",
        "val_loss": "min",
        **{f"{part}_{name}": "max" for part in parts for name in METRICS},
    }


@dataclass(frozen=True)
class Counted:
    """The units of a text, counted."""

    units: tuple[str, ...]
    pairs: Mapping[tuple[str, str], int]
    singles: Mapping[str, int]
    places: Mapping[str, int]
    """Positions of each unit, as a bit set."""

    @classmethod
    def of(cls, units: Sequence[str]) -> Counted:
        places: dict[str, int] = {}
        for place, unit in enumerate(units):
            places[unit] = places.get(unit, 0) | (1 << place)
        return cls(tuple(units), Counter(pairwise(units)), Counter(units), places)


def rouge(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenizer: str,
    combine: str,
) -> Floats:
    """Return F1 of each prediction [N, 3]: the max or mean (`combine`) over its references."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} rows of references")
    alone = [row for row, own in enumerate(references) if not own]
    if alone:
        raise ValueError(f"no reference in row {alone[0]} and {len(alone) - 1} more")
    merge: Any = {"max": np.max, "mean": np.mean}[combine]
    texts = counted(predictions, tokenizer)
    truth = iter(counted([text for own in references for text in own], tokenizer))
    scores = np.zeros((len(predictions), len(NAMES)))
    for row, (own, text) in enumerate(zip(references, texts, strict=True)):
        scores[row] = merge([compare(text, next(truth)) for _ in own], axis=0)
    return scores


def counted(texts: Sequence[str], tokenizer: str) -> list[Counted]:
    """Tokenise and count texts once, for several comparisons each."""
    units = _TOKENIZERS[tokenizer]([unicodedata.normalize("NFC", text).lower() for text in texts])
    return [Counted.of(own) for own in units]


def compare(one: Counted, other: Counted) -> tuple[float, float, float]:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L of two texts (symmetric)."""
    lengths = len(one.units), len(other.units)
    return (
        _f1(_shared(one.singles, other.singles), *lengths),
        _f1(_shared(one.pairs, other.pairs), *(max(0, length - 1) for length in lengths)),
        _f1(_longest_common(one, other), *lengths),
    )


def named(scores: Floats, *, prefix: str = "") -> dict[str, float]:
    """Return means over rows [N, 3] by name, with their sum; 0 without rows."""
    means = scores.mean(axis=0) if len(scores) else np.zeros(len(NAMES))
    values = [*means.tolist(), float(means.sum())]
    return {f"{prefix}{name}": value for name, value in zip(METRICS, values, strict=True)}


def _shared(one: Mapping[Any, int], other: Mapping[Any, int]) -> int:
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    return sum(min(count, large[unit]) for unit, count in small.items() if unit in large)


def _f1(shared: int, one: int, other: int) -> float:
    return 2.0 * shared / (one + other) if shared else 0.0


def _longest_common(one: Counted, other: Counted) -> int:
    """Return the length of the longest common subsequence, by bit-parallel rows (Hyyro 2004)."""
    row = whole = (1 << len(other.units)) - 1
    for unit in one.units:
        met = row & other.places.get(unit, 0)
        row = ((row + met) | (row - met)) & whole
    return len(other.units) - row.bit_count()


def _split(pattern: re.Pattern[str], texts: Sequence[str]) -> list[list[str]]:
    return [pattern.findall(text) for text in texts]


def _morphemes(texts: Sequence[str]) -> list[list[str]]:
    found = _kiwi().tokenize(list(texts), pretokenized=_placeholders)
    return [[m.form for m in own if any(map(str.isalnum, m.form))] for own in found]


def _placeholders(text: str) -> list[tuple[int, int, str]]:
    return [(found.start(), found.end(), "NNP") for found in _PLACEHOLDER.finditer(text)]


@cache
def _kiwi() -> Any:
    try:
        from kiwipiepy import Kiwi
    except ImportError as error:
        raise ConfigurationError(
            "evaluation.tokenizer=morphemes needs the library kiwipiepy, which is not installed; "
            "install it (pip install 'seqtune[text]'), or choose words or characters"
        ) from error
    return Kiwi(num_workers=1)


_TOKENIZERS: dict[str, Callable[[Sequence[str]], list[list[str]]]] = {
    "words": partial(_split, _WORD),
    "characters": partial(_split, _CHARACTER),
    "morphemes": _morphemes,
}
