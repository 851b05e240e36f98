"""Invented dialogues, and a summary of each that follows from what is agreed in them.

Somebody wants something, somewhere, at some time. Place and time are settled late and often after
another was turned down, so that the first turns do not say how it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

KOREAN = 0.25
PERSONS = ("#Person1#", "#Person2#")

Choices = Sequence[str]


@dataclass(frozen=True)
class Story:
    """One thing that two may talk about. {a} begins, {b} answers."""

    topic: str
    wishes: Choices
    """What {a} may want; `{wish}` below."""
    ask: str
    summary: str


@dataclass(frozen=True)
class Language:
    stories: Sequence[Story]
    places: Choices
    times: Choices
    greetings: Sequence[tuple[str, str]]
    where: Choices
    other_place: str
    place: str
    when: Choices
    other_time: str
    time: str
    endings: Sequence[tuple[str, ...]]


ENGLISH = Language(
    stories=(
        Story(
            "shopping",
            ("a lamp", "a bicycle", "a winter coat", "two chairs", "an old radio"),
            "I want to buy {wish}. Will you come along?",
            "{a} wants to buy {wish}. {b} will come to {place} {time}.",
        ),
        Story(
            "meeting",
            ("the report", "the new plan", "the budget", "our trip"),
            "We have to talk about {wish}.",
            "{a} and {b} will talk about {wish} at {place} {time}.",
        ),
        Story(
            "dinner",
            ("noodles", "fish", "pizza", "dumplings"),
            "I would love to eat {wish} with you.",
            "{a} invites {b} to eat {wish} at {place} {time}.",
        ),
    ),
    places=("the station", "the market", "the library", "the harbour", "the old bridge", "room 12"),
    times=("on Monday", "on Friday", "tomorrow at 9", "tonight", "next week", "on Sunday at noon"),
    greetings=(
        ("Hi! How have you been?", "Quite well, thank you."),
        ("Good morning. Did I wake you?", "No, I have been up since 6."),
        ("What a storm last night!", "Yes, I hardly slept."),
    ),
    where=("Where shall we meet?", "Gladly. Which place suits you?"),
    other_place="How about {no_place}? No, that is too far. Let us say {place}.",
    place="Let us say {place}.",
    when=("And when?", "Good. What time?"),
    other_time="I cannot come {no_time}. I am free {time}.",
    time="I am free {time}.",
    endings=(
        ("Fine, see you then.",),
        ("I will write it down.", "Call me at #PhoneNumber# if you are late."),
        (),
    ),
)

HANGUL = Language(
    stories=(
        Story(
            "쇼핑",
            ("전등", "자전거", "겨울 외투", "의자"),
            "{wish} 사고 싶은데 같이 갈래요?",
            "{a}은 {wish} 사고 싶어 하고 {b}와 {time} {place}에서 만난다.",
        ),
        Story(
            "식사",
            ("국수", "생선", "만두"),
            "{wish} 먹으러 가고 싶어요.",
            "{a}은 {b}와 {time} {place}에서 {wish} 먹기로 한다.",
        ),
    ),
    places=("역", "시장", "도서관", "항구"),
    times=("월요일에", "금요일에", "내일 9시에", "오늘 밤에"),
    greetings=(
        ("안녕하세요, 잘 지냈어요?", "네, 잘 지냈어요."),
        ("어제 비가 많이 왔네요.", "네, 잠을 못 잤어요."),
    ),
    where=("어디에서 볼까요?", "좋아요. 어디가 좋아요?"),
    other_place="{no_place}은 너무 멀어요. {place}에서 봐요.",
    place="{place}에서 봐요.",
    when=("언제요?", "몇 시가 좋아요?"),
    other_time="{no_time} 안 돼요. {time} 괜찮아요.",
    time="{time} 괜찮아요.",
    endings=(("그때 봐요.",), ("적어 둘게요.", "늦으면 #PhoneNumber#로 전화하세요."), ()),
)


@dataclass(frozen=True)
class Dialogue:
    dialogue: str
    summary: str
    topic: str


def dialogues(rng: np.random.Generator, count: int) -> Iterator[Dialogue]:
    """Different ones, as many as asked for."""
    seen: set[str] = set()
    while len(seen) < count:
        made = _dialogue(rng, HANGUL if rng.random() < KOREAN else ENGLISH)
        if made.dialogue not in seen:
            seen.add(made.dialogue)
            yield made


def _dialogue(rng: np.random.Generator, language: Language) -> Dialogue:
    story = language.stories[int(rng.integers(len(language.stories)))]
    a, b = rng.permutation(PERSONS).tolist()
    slots = {"a": a, "b": b, "wish": _one(rng, story.wishes)}
    slots["place"], slots["no_place"] = rng.permutation(language.places).tolist()[:2]
    slots["time"], slots["no_time"] = rng.permutation(language.times).tolist()[:2]
    turns = _turns(rng, story, language)
    lines = [f"{(a, b)[i % 2]}: {turn.format(**slots)}" for i, turn in enumerate(turns)]
    return Dialogue("\n".join(lines), story.summary.format(**slots), story.topic)


def _turns(rng: np.random.Generator, story: Story, language: Language) -> list[str]:
    """Five to eight, {a} first."""
    is_greeted = rng.random() < 0.6
    greeting = language.greetings[int(rng.integers(len(language.greetings)))]
    ending = language.endings[int(rng.integers(len(language.endings)))]
    return [
        *(greeting if is_greeted else ()),
        story.ask,
        _one(rng, language.where),
        language.other_place if rng.random() < 0.5 else language.place,
        _one(rng, language.when),
        language.other_time if rng.random() < 0.5 else language.time,
        *ending[: 1 if is_greeted else 2],
    ]


def _one(rng: np.random.Generator, choices: Choices) -> str:
    return choices[int(rng.integers(len(choices)))]
