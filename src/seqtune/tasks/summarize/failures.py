"""Count the summaries that fail in a way that ROUGE does not name.

empty     without a word
cut       without an end at `generation.max_new_tokens`: it runs on
long      more than twice as many words as the longest reference
copied    at least 80 % of its runs of four words stand in the dialogue, word for word

Shapes: N summaries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from .decoder import GeneratedTexts
from .rouge import Counted, counted

EMPTY, CUT, LONG, COPIED = NAMES = ("empty", "cut", "long", "copied")
RUN = 4
COPIED_SHARE = 0.8
TIMES_AS_LONG = 2.0

Mask = npt.NDArray[np.bool_]


def failures(
    written: GeneratedTexts, dialogues: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, Mask]:
    """Return a mask [N] for each kind of failure; a summary may fail in several ways."""
    longest = np.array([max(_num_words(text) for text in own) for own in references], np.int64)
    words = np.array([_num_words(text) for text in written.texts], np.int64)
    return {
        EMPTY: words == 0,
        CUT: np.asarray(written.is_cut),
        LONG: words > TIMES_AS_LONG * longest,
        COPIED: _are_copied(written.texts, dialogues),
    }


def _are_copied(summaries: Sequence[str], dialogues: Sequence[str]) -> Mask:
    pairs = zip(counted(summaries, "words"), counted(dialogues, "words"), strict=True)
    return np.array([_is_copied(summary, dialogue) for summary, dialogue in pairs], np.bool_)


def _is_copied(summary: Counted, dialogue: Counted) -> bool:
    length = min(RUN, len(summary.units))
    if not length:
        return False
    there = set(_runs(dialogue.units, length))
    own = list(_runs(summary.units, length))
    return sum(run in there for run in own) >= COPIED_SHARE * len(own)


def _runs(units: Sequence[str], length: int) -> Iterable[tuple[str, ...]]:
    return zip(*(units[start:] for start in range(length)), strict=False)


def _num_words(text: str) -> int:
    return len(text.split())
