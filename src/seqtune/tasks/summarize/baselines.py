"""Two summaries that need no training: lead_3 (the first three utterances) and longest_sentence.

A dialogue without lines is split into sentences. An utterance keeps its speaker without the colon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

LEAD_3, LONGEST_SENTENCE = "lead_3", "longest_sentence"
_END_OF_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+")
_SPEAKER = re.compile(r"^(#[^\W_]+#|[^\W_]{1,20})\s*[:：]\s*")


def lead_3(dialogue: str) -> str:
    """Return the first three utterances in one line."""
    return " ".join(utterances(dialogue)[:3])


def longest_sentence(dialogue: str) -> str:
    """Return the longest utterance; the first of equals."""
    return max(utterances(dialogue), key=len, default="")


def utterances(dialogue: str) -> list[str]:
    """Return the utterances, each without the colon after its speaker."""
    lines = dialogue.splitlines()
    if sum(bool(line.strip()) for line in lines) < 2:
        lines = _END_OF_SENTENCE.split(dialogue)
    found = [_SPEAKER.sub(r"\1 ", " ".join(line.split())) for line in lines]
    return [line for line in found if line]


BASELINES: Mapping[str, Callable[[str], str]] = {LEAD_3: lead_3, LONGEST_SENTENCE: longest_sentence}


def baseline_summaries(dialogues: Sequence[str]) -> dict[str, list[str]]:
    """Return the summaries of each baseline, by name."""
    return {name: list(map(baseline, dialogues)) for name, baseline in BASELINES.items()}
