"""Cleaning, checking and comparing rows of text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtune.core.errors import DataError

Int64 = npt.NDArray[np.int64]

_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
"""Control characters; half a surrogate pair cannot even be written."""
_LETTER = re.compile(r"[^\W_]")
_SPECIAL = re.compile(
    r"<\|[^|<>\s]{1,40}\|>"
    r"|</?s>|<(?:pad|unk|mask|bos|eos|cls|sep|usr|sys|extra_id_\d+|start_of_turn|end_of_turn)>"
    r"|\[/?(?:CLS|SEP|PAD|UNK|MASK|BOS|EOS|INST)\]|<</?SYS>>"
)

CHANGES = {
    "unicode": "had another Unicode form and were brought to NFC",
    "line_breaks": "had line breaks other than \\n",
    "control": "had control characters, which were removed",
    "cut": "were longer than max_characters and were cut",
}
"""Changes made by a `Cleaner`."""


@dataclass
class Cleaner:
    """Normalises texts of one kind, and counts what it changed."""

    what: str
    """Plural noun of the texts."""
    max_characters: int
    changed: Counter[str] = field(default_factory=Counter)

    def __call__(self, text: str) -> str:
        text = self._count("line_breaks", text, _LINE_END.sub("\n", text))
        text = self._count("control", text, _CONTROL.sub("", text))
        text = self._count("unicode", text, unicodedata.normalize("NFC", text)).strip()
        return self._count("cut", text, text[: self.max_characters].rstrip())

    def _count(self, change: str, before: str, after: str) -> str:
        self.changed[change] += before != after
        return after

    def warnings(self) -> list[str]:
        return [
            f"{self.changed[change]} {self.what} {description}"
            for change, description in CHANGES.items()
            if self.changed[change]
        ]


@dataclass
class RowErrors:
    """Collects invalid rows and raises one error that counts all and lists a few."""

    max_examples: int
    _places: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, what: str, place: str, *, next_step: str) -> None:
        self._places.setdefault((what, next_step), []).append(place)

    def raise_any(self) -> None:
        if self._places:
            raise DataError("\n".join(self._line(*kind) for kind in self._places))

    def _line(self, what: str, next_step: str) -> str:
        places = self._places[what, next_step]
        shown = "; ".join(places[: self.max_examples])
        more = len(places) - self.max_examples
        return f"{what}: {shown}{f'; and {more} more' if more > 0 else ''}. {next_step}"


def has_content(text: str) -> bool:
    """Whether a text contains a letter or a digit."""
    return _LETTER.search(text) is not None


def not_text(value: Any) -> str | None:
    """Describe a value that is not a text; return None for a text."""
    if isinstance(value, str):
        return None
    return "null" if value is None else f"{value!r:.40} ({type(value).__name__})"


def id_of(value: Any) -> str:
    """Normalise an id; empty if missing."""
    return "" if value is None else str(value).strip()


def check_ids(named: Iterable[tuple[str, str]], faults: RowErrors, *, key: str) -> None:
    """Record missing and repeated ids, with their places."""
    next_step = f"Correct them, or set {key}=null to number the rows"
    first: dict[str, str] = {}
    for name, place in named:
        before = first.setdefault(name, place)
        if not name:
            faults.add("rows without an id", place, next_step=next_step)
        elif before != place:
            shown = f"{name!r} in {before} and {place}"
            faults.add("ids must be unique over all files", shown, next_step=next_step)


def special_tokens(texts: Iterable[str]) -> dict[str, int]:
    """Find strings that look like control tokens of a model; count the texts with each."""
    found: Counter[str] = Counter()
    for text in texts:
        if "<" in text or "[" in text:
            found.update(set(_SPECIAL.findall(text)))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def special_warning(found: Mapping[str, int], what: str) -> list[str]:
    """Warn of control tokens, if any."""
    if not found:
        return []
    shown = ", ".join(f"{token} in {num}" for token, num in list(found.items())[:5])
    return [f"{what} contain strings that look like control tokens of a model: {shown}"]


def spread(lengths: Sequence[int]) -> dict[str, int]:
    """Return quantiles that are values of the data."""
    names = {"min": 0.0, "p50": 0.5, "p95": 0.95, "max": 1.0}
    values = np.quantile(lengths, list(names.values()), method="inverted_cdf")
    return {name: int(value) for name, value in zip(names, values, strict=True)}


# ---- equal up to spaces, case and punctuation ---------------------------------------------------


class _Letters(dict[int, int | None]):
    """A table for str.translate that removes spaces, punctuation and symbols."""

    def __missing__(self, code: int) -> int | None:
        is_letter = unicodedata.category(chr(code))[0] in "LMN"
        self[code] = code if is_letter else None
        return self[code]


_LETTERS = _Letters()


def plain(text: str) -> str:
    """Remove case, spaces and punctuation; keep punctuation where a text has nothing else."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return folded.translate(_LETTERS) or "".join(folded.split())


def groups_of(texts: Sequence[str]) -> Int64:
    """Number the groups of texts that are equal when plain [N]."""
    numbers: dict[str, int] = {}
    return np.asarray([numbers.setdefault(plain(text), len(numbers)) for text in texts], np.int64)


def part_sizes(
    num_rows: int, shares: Sequence[float], *, task: str, texts: str
) -> tuple[int, int, int]:
    """Return the rows of train, valid and test; at least one where the share is not 0."""
    valid, test = (max(1, round(share * num_rows)) if share else 0 for share in shares)
    if num_rows - valid - test < 1:
        raise DataError(
            f"{num_rows} {texts} are too few: {valid} for valid and {test} for test leave none to "
            f"train on; give more, or set {task}.split.test_share=0"
        )
    return num_rows - valid - test, valid, test


def require_parts(found: Int64, sizes: Sequence[int], *, task: str, texts: str) -> None:
    """Refuse an assignment to parts [N] that leaves one empty."""
    if len(np.unique(found)) < sum(size > 0 for size in sizes):
        raise DataError(
            f"too many of the {len(found)} {texts} are equal up to spaces, case and punctuation "
            f"and must share a part, so another stays empty; set {task}.ingest.on_duplicates=drop"
        )
