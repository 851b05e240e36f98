"""Turn raw dialogues into model inputs, and generated text back into the form of the data.

Noise is removed first, then speakers are renamed: #Person1# stays, or becomes P1, or words; targets
likewise. `restore` maps generated text back, so that metrics see the original form. Placeholders of
the fit part and P1 become ordinary added tokens, because decoding would skip special ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .params import PreprocessConfig

MARK = re.compile(r"#\w+#")
PERSON = re.compile(r"#Person([1-9]\d?)#")
SHORT = re.compile(r"(?<![A-Za-z0-9#])P([1-9]\d?)(?![A-Za-z0-9#])")
MAX_MARKS = 100
"""Only the most frequent marks become tokens; more would be hashtags, not placeholders."""

_HANGUL = re.compile(r"[가-힣]")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_LETTERS = re.compile(r"([^\W\d_])\1{2,}")
_SIGNS = re.compile(r"([!?~.,;:^…])\1+")
_HESITATION = re.compile(
    r"(?<!\S)(?:u+m+|u+h+|e+r+m*|h+m+|m{2,}|음+|흠+|어+|아+|에+)[.,~…!?]*(?!\S)", re.IGNORECASE
)
_JAMO = re.compile(r"[ㄱ-ㅎㅏ-ㅣ]+")

_ENGLISH = ("the speaker", "the other speaker", "the third speaker", "the fourth speaker")
_KOREAN = ("화자", "상대 화자", "세 번째 화자", "네 번째 화자")
_WORDS: dict[str, int] = {
    words.lower(): number
    for names in (_ENGLISH, _KOREAN)
    for number, words in enumerate(names, start=1)
}
_NUMBERED = re.compile(r"(?:\bspeaker number |(?:^|(?<=\s))화자 )([1-9]\d*)", re.IGNORECASE)
_SPOKEN = re.compile(
    "|".join(
        (rf"\b{words}\b" if words.isascii() else rf"(?<![가-힣]){words}")
        for words in sorted(_WORDS, key=len, reverse=True)
    ),
    re.IGNORECASE,
)


def clean(dialogue: str, config: PreprocessConfig) -> str:
    """Preprocess a dialogue (idempotent); from one of only noise, remove only spaces."""
    named = _names(config)
    for noise in (_NOISE[config.noise_removal], _NOISE["minimal"]):
        cleaned = _settled(dialogue, lambda text, noise=noise: named(noise(text)))  # type: ignore[misc]
        if cleaned:
            return cleaned
    return ""


def clean_summary(summary: str, config: PreprocessConfig) -> str:
    """Turn a reference into a target: speakers as in the dialogue, other text unchanged."""
    noise = _NOISE["none" if config.noise_removal == "none" else "minimal"]
    named = _names(config)
    return _settled(summary, lambda text: named(noise(text)))


def restore(summary: str, config: PreprocessConfig) -> str:
    """Return generated text in the form of the data: speakers are #Person1# again."""
    if config.person_tokens == "simplify":
        return SHORT.sub(r"#Person\1#", summary)
    if config.person_tokens == "abstract":
        numbered = _NUMBERED.sub(r"#Person\1#", summary)
        return _SPOKEN.sub(lambda found: f"#Person{_WORDS[found[0].lower()]}#", numbered)
    return summary


def find_marks(texts: Iterable[str], config: PreprocessConfig) -> list[str]:
    """Return the placeholders of cleaned texts that become tokens, sorted."""
    if not config.special_tokens:
        return []
    counts: Counter[str] = Counter()
    short = config.person_tokens == "simplify"
    for text in texts:
        counts.update(MARK.findall(text))
        if short:
            counts.update(found[0] for found in SHORT.finditer(text))
    return sorted(sorted(counts, key=lambda mark: (-counts[mark], mark))[:MAX_MARKS])


def add_marks(tokenizer: Any, marks: Iterable[str]) -> dict[str, list[int]]:
    """Add a token for each mark; return the pieces that each consisted of before."""
    from transformers import AddedToken

    pieces = {
        mark: ids
        for mark in marks
        if len(ids := tokenizer.encode(mark, add_special_tokens=False, verbose=False)) > 1
    }
    tokenizer.add_tokens(
        [AddedToken(mark, normalized=False, special=False) for mark in pieces],
        special_tokens=False,
    )
    return pieces


def _settled(text: str, step: Callable[[str], str]) -> str:
    """Repeat a step until it changes nothing: removing noise can create new noise."""
    while (after := step(text)) != text:
        text = after
    return text


def _names(config: PreprocessConfig) -> Callable[[str], str]:
    if config.person_tokens == "simplify":
        return lambda text: PERSON.sub(lambda found: _apart(found, f"P{found[1]}"), text)
    if config.person_tokens == "abstract":
        return _abstract
    return _as_it_is


def _abstract(text: str) -> str:
    korean = bool(_HANGUL.search(text))
    words = _KOREAN if korean else _ENGLISH
    numbered = "화자 {}" if korean else "speaker number {}"

    def named(found: re.Match[str]) -> str:
        number = int(found[1])
        name = words[number - 1] if number <= len(words) else numbered.format(number)
        return _apart(found, name)

    return PERSON.sub(named, text)


def _apart(found: re.Match[str], name: str) -> str:
    """Add spaces between a name and a word next to it ("of#Person1#" has none)."""
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    left, right = (" " * (side.isascii() and side.isalnum()) for side in (before, after))
    return f"{left}{name}{right}"


def _as_it_is(text: str) -> str:
    return text


def _minimal(text: str) -> str:
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return _LINES.sub("\n", _SPACES.sub(" ", lines)).strip()


def _moderate(text: str) -> str:
    return _minimal(_SIGNS.sub(r"\1", _LETTERS.sub(r"\1\1", text)))


def _aggressive(text: str) -> str:
    return _minimal(_JAMO.sub("", _HESITATION.sub("", _moderate(text))))


_NOISE: Mapping[str, Callable[[str], str]] = {
    "none": _as_it_is,
    "minimal": _minimal,
    "moderate": _moderate,
    "aggressive": _aggressive,
}
