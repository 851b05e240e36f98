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
    """The first three utterances in one line."""
    return " ".join(utterances(dialogue)[:3])


def longest_sentence(dialogue: str) -> str:
    """The longest utterance; the first of equals."""
    return max(utterances(dialogue), key=len, default="")


def utterances(dialogue: str) -> list[str]:
    """The utterances, each in the form of a line of a summary."""
    lines = dialogue.splitlines()
    if sum(bool(line.strip()) for line in lines) < 2:
        lines = _END_OF_SENTENCE.split(dialogue)
    told = [_SPEAKER.sub(r"\1 ", " ".join(line.split())) for line in lines]
    return [line for line in told if line]


BASELINES: Mapping[str, Callable[[str], str]] = {LEAD_3: lead_3, LONGEST_SENTENCE: longest_sentence}


def baseline_summaries(dialogues: Sequence[str]) -> dict[str, list[str]]:
    """What each floor makes of dialogues, by its name."""
    return {name: [floor(text) for text in dialogues] for name, floor in BASELINES.items()}
