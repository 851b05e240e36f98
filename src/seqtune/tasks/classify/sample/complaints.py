"""Invented messages to a shop, and what each complains of.

A message has one to three clauses. Each speaks of a topic, well or badly; its labels are the topics
it speaks badly of. Some words are bad for one topic alone, and others for all: in a message of two
clauses only their order says which of them is meant. Counting words gets far, but not all the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

LABELS = ("delivery", "quality", "price", "staff", "refund")
SHARES = (0.30, 0.22, 0.15, 0.10, 0.05)
"""How often somebody complains of it first."""
FOLLOWS = {0: (3, 0.1), 1: (4, 0.2), 2: (1, 0.3)}
"""Who complains of the one complains of the other too, this often."""
PRAISED = 0.6
"""Messages that also speak well of something."""
OWN_WORD = 0.35
"""Complaints that use a word of their topic and not one for all."""
KOREAN = 0.25
DUPLICATES = 0.01
"""For the reader to drop and report."""

Choices = Sequence[str]
_NOUNS: tuple[tuple[Choices, Choices], ...] = (
    (("the delivery", "the parcel", "my order", "the courier"), ("배송", "택배", "주문한 물건")),
    (("the quality", "the fabric", "the lamp", "the kettle"), ("품질", "천", "주전자")),
    (("the price", "the fee", "the bill"), ("가격", "수수료", "청구서")),
    (("the staff", "the clerk", "customer service"), ("직원", "상담원", "고객센터")),
    (("the refund", "my money", "the return"), ("환불", "제 돈", "반품")),
)
_OWN: tuple[tuple[Choices, Choices], ...] = (
    (("came late", "never arrived", "was left in the rain"), ("늦었어요", "안 왔어요")),
    (("broke at once", "fell apart", "was scratched"), ("부서졌어요", "찢어졌어요")),
    (("was far too high", "doubled overnight"), ("너무 비싸요", "두 배가 됐어요")),
    (("was rude", "hung up on me"), ("불친절했어요", "전화를 끊었어요")),
    (("was refused", "is still missing"), ("거절됐어요", "아직 못 받았어요")),
)
_BAD = (
    ("was terrible", "was a joke", "made me angry", "was not good"),
    ("최악이었어요", "별로였어요", "화가 났어요"),
)
_GOOD = (
    ("was great", "was fine", "made me happy", "was not bad"),
    ("좋았어요", "괜찮았어요", "마음에 들어요"),
)
_ASIDES = (
    ("", "", "", ", I must say,", ", for the third time,", ", as always,", " on Monday"),
    ("", "", "정말", "솔직히", "이번에는"),
)
_OPENINGS = (
    ("", "", "", "hello,", "well,", "to be honest,", "order {number}:", "order {number}:"),
    ("", "", "안녕하세요,", "음,", "주문 {number}번:", "주문 {number}번:"),
)
_ENDINGS = (
    ("", "", ".", "!", "!!", " :(", ' "wow"', ", thanks.", ", greetings from Busan."),
    ("", ".", "!", " ㅋㅋㅋ", " ㅠㅠ", " 감사합니다."),
)
_JOINTS = ((" and ", " but ", ", ", "; "), (" 그리고 ", " 그런데 ", ", "))
_PARTICLES = ("이", "가")


def complaints(rng: np.random.Generator, count: int) -> Iterator[tuple[str, list[int]]]:
    """Messages with 0 or 1 for each of `LABELS`; a few come twice."""
    repeats = int(count * DUPLICATES)
    made: dict[str, list[int]] = {}
    while len(made) < count - repeats:
        bad = _topics(rng)
        text = _message(rng, bad)
        made.setdefault(text, [int(topic in bad) for topic in range(len(LABELS))])
    rows = list(made.items())
    again = rng.choice(len(rows), size=repeats, replace=False)
    rows += [rows[row] for row in again]
    yield from (rows[row] for row in rng.permutation(len(rows)))


def _topics(rng: np.random.Generator) -> list[int]:
    """What a message complains of: nothing, one topic, or two that go together."""
    first = int(rng.choice(len(LABELS) + 1, p=[*SHARES, 1 - sum(SHARES)]))
    if first == len(LABELS):
        return []
    follows, share = FOLLOWS.get(first, (first, 0.0))
    return [first, follows] if rng.random() < share else [first]


def _message(rng: np.random.Generator, bad: list[int]) -> str:
    language = int(rng.random() < KOREAN)
    good = [topic for topic in rng.permutation(len(LABELS)).tolist() if topic not in bad]
    praised = good[: 1 if not bad or rng.random() < PRAISED else 0]
    clauses = [_clause(rng, topic, language, is_bad=True) for topic in bad]
    clauses += [_clause(rng, topic, language, is_bad=False) for topic in praised]
    joined = _one(rng, _JOINTS[language]).join(str(clause) for clause in rng.permutation(clauses))
    opening = _one(rng, _OPENINGS[language]).format(number=rng.integers(10, 1000))
    return f"{opening} {joined}{_one(rng, _ENDINGS[language])}".strip()


def _clause(rng: np.random.Generator, topic: int, language: int, *, is_bad: bool) -> str:
    noun = _one(rng, _NOUNS[topic][language])
    aside = _one(rng, _ASIDES[language])
    words = _GOOD if not is_bad else _OWN[topic] if rng.random() < OWN_WORD else _BAD
    said = _one(rng, words[language])
    if not language:
        return f"{noun}{aside} {said}"
    ends_in_consonant = (ord(noun[-1]) - ord("가")) % 28 > 0
    particle = _PARTICLES[0 if ends_in_consonant else 1]
    return " ".join(part for part in (f"{noun}{particle}", aside, said) if part)


def _one(rng: np.random.Generator, choices: Choices) -> str:
    return choices[int(rng.integers(len(choices)))]
