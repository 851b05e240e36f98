"""AEDA: punctuation in front of some words, and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtune.tasks.classify.augment import MARKS, copies_of, punctuate, rare_rows

WORD = st.text("abcㅋ한.!", min_size=1, max_size=6).filter(lambda word: word not in MARKS)
WORDS = st.lists(WORD, min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(WORDS, st.integers(0, 2**62))
def test_marks_stand_before_words_and_words_stay(words: list[str], seed: int) -> None:
    text = " ".join(words)
    made = punctuate(text, seed=seed)
    added = len(made.split()) - len(words)
    assert 1 <= added <= max(1, int(0.3 * len(words)))
    left = iter(made.split())
    for word in words:  # in order, after at most one mark each
        found = next(left)
        if found != word:
            assert found in MARKS
            assert next(left) == word
    assert next(left, None) is None
    assert made == punctuate(text, seed=seed)


def test_spaces_and_lines_stay() -> None:
    made = punctuate("one  two\nthree", seed=1)
    for mark in MARKS:
        made = made.replace(f"{mark} ", "")
    assert made == "one  two\nthree"


def test_all_marks_and_places_occur() -> None:
    made = [punctuate("w1 w2 w3 w4", seed=seed) for seed in range(300)]
    assert {mark for mark in MARKS for text in made if mark in text} == set(MARKS)
    assert {text.split().index(next(w for w in text.split() if w in MARKS)) for text in made} == {
        *range(4)
    }


def test_copies_differ_and_depend_on_row_and_seed() -> None:
    text = " ".join(f"w{number}" for number in range(30))
    copies = copies_of(text, 7, num=2, seed=42)
    assert len(set(copies)) == 2
    assert copies == copies_of(text, 7, num=2, seed=42)
    assert copies == copies_of(text, 7, num=3, seed=42)[:2]
    assert copies != copies_of(text, 8, num=2, seed=42)
    assert copies != copies_of(text, 7, num=2, seed=43)


def test_rare_is_below_the_share_and_a_label_without_positives_is_not() -> None:
    targets = np.zeros((20, 3), np.int8)
    targets[:2, 0] = 1  # 10 %
    targets[:1, 1] = 1  # 5 %
    assert rare_rows(targets, 0.1).tolist() == [True, *[False] * 19]
    assert rare_rows(targets, 0.11).tolist() == [True, True, *[False] * 18]
    assert not rare_rows(targets, 0.05).any()
