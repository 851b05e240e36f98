"""Noise goes, speakers get their names, and what is written comes back in the form of the data."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtune.tasks.summarize.params import PreprocessConfig
from seqtune.tasks.summarize.preprocess import (
    MAX_MARKS,
    add_marks,
    clean,
    clean_summary,
    find_marks,
    restore,
)
from seqtune.text.pretrained import load_tokenizer

from .examples import make_model, rows, write_split

NOISE = ("none", "minimal", "moderate", "aggressive")
PERSONS = ("keep", "simplify", "abstract")


def how(noise: str = "minimal", persons: str = "keep", **others: object) -> PreprocessConfig:
    return PreprocessConfig.model_validate(
        {"noise_removal": noise, "person_tokens": persons, **others}
    )


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ("none", "#Person1#:  Um, sooooo good!!!\r\n\r\n\tㅋㅋㅋㅋ 음... 1000000 won "),
        ("minimal", "#Person1#: Um, sooooo good!!!\nㅋㅋㅋㅋ 음... 1000000 won"),
        ("moderate", "#Person1#: Um, soo good!\nㅋㅋ 음. 1000000 won"),
        ("aggressive", "#Person1#: soo good!\n1000000 won"),
    ],
)
def test_noise_goes_as_far_as_it_is_asked_to(noise: str, expected: str) -> None:
    text = "#Person1#:  Um, sooooo good!!!\r\n\r\n\tㅋㅋㅋㅋ 음... 1000000 won "
    assert clean(text, how(noise)) == expected


def test_hesitation_inside_of_words_stays() -> None:
    assert clean("The drummer sums up: uh-huh, 음악 좋아", how("aggressive")) == (
        "The drummer sums up: uh-huh, 음악 좋아"
    )


def test_a_dialogue_of_noise_alone_is_not_left_empty() -> None:
    assert clean(" ㅋㅋㅋ \n", how("aggressive")) == "ㅋㅋㅋ"


TEXTS = st.text(alphabet="#Person12 3um.!~ㅋ음어가a\n\r\té", max_size=40)
MARKED = st.lists(
    st.one_of(TEXTS, st.sampled_from(["#Person1#", "#Person12#", "um ", "P3", "the speaker"])),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("persons", PERSONS)
@given(text=MARKED)
def test_cleaning_twice_changes_nothing_more(noise: str, persons: str, text: str) -> None:
    config = how(noise, persons)
    once = clean(text, config)
    assert clean(once, config) == once
    target = clean_summary(text, config)
    assert clean_summary(target, config) == target


@pytest.mark.parametrize("persons", PERSONS)
@pytest.mark.parametrize(
    "summary",
    [
        "#Person1# asks #Person2# for help, and #Person3# laughs.",
        "#Person12# meets #Person4# and #Person5#.",
        "#Person2#는 #Person1#에게 #Person3#의 집을 묻고 #Person7#이 답합니다.",
    ],
)
def test_persons_come_back_in_the_form_of_the_data(persons: str, summary: str) -> None:
    config = how(persons=persons)
    mapped = clean_summary(summary, config)
    assert (mapped == summary) == (persons == "keep")
    assert restore(mapped, config) == summary


def test_what_the_names_are() -> None:
    text = "#Person1# and #Person2#"
    assert clean(text, how(persons="simplify")) == "P1 and P2"
    assert clean(text, how(persons="abstract")) == "the speaker and the other speaker"
    assert clean("#Person1#와 #Person2#", how(persons="abstract")) == "화자와 상대 화자"


def test_restoring_minds_the_beginning_of_sentences_and_other_words() -> None:
    assert restore("The speaker buys an MP3 player.", how(persons="abstract")) == (
        "#Person1# buys an MP3 player."
    )
    flight = "P1 asks for P6363220."
    assert restore(flight, how(persons="simplify")) == "#Person1# asks for P6363220."
    assert restore("P1 buys an MP3 player.", how(persons="simplify")) == (
        "#Person1# buys an MP3 player."
    )


def test_marks_are_those_of_the_fit_part(tmp_path: Path) -> None:
    valid = [("#Person9#: my #Address#", ["#Person9# moves."])]
    train = [*rows(3), ("#Person1#: call #PhoneNumber#", ["A call."])]
    data = write_split(tmp_path / "split", train, valid)
    assert data.marks(how()) == ["#Person1#", "#Person2#", "#PhoneNumber#"]
    assert data.marks(how(persons="simplify")) == ["#PhoneNumber#", "P1", "P2"]
    assert data.marks(how(special_tokens=False)) == []


def test_hashtags_without_end_do_not_become_tokens() -> None:
    texts = ["#Person1# #Person1#", *(f"#tag{number}#" for number in range(300))]
    marks = find_marks(texts, how())
    assert len(marks) == MAX_MARKS
    assert "#Person1#" in marks


def test_marks_become_ordinary_tokens_that_survive_decoding(tmp_path: Path) -> None:
    """As special tokens they would vanish, and with spaces around them they would not be found."""
    tokenizer = load_tokenizer(make_model(tmp_path / "model", "kobart", rows(10)))
    text = "#Person1#: #Person2#를 #집1# 말"
    before = len(tokenizer.encode(text))
    pieces = add_marks(tokenizer, ["#Person1#", "#Person2#", "#집1#"])
    ids = tokenizer.encode(text)
    assert len(ids) < before
    assert min(map(len, pieces.values())) > 1
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert not {"#Person1#", "#Person2#"} & set(tokenizer.all_special_tokens)


def test_added_tokens_shorten_dialogues_by_a_good_part(tmp_path: Path) -> None:
    of = rows(10)
    tokenizer = load_tokenizer(make_model(tmp_path / "model", "kobart", of))
    before = sum(len(tokenizer.encode(dialogue)) for dialogue, _ in of)
    add_marks(tokenizer, ["#Person1#", "#Person2#"])
    after = sum(len(tokenizer.encode(dialogue)) for dialogue, _ in of)
    assert after < 0.8 * before


@pytest.mark.parametrize("persons", ["simplify", "abstract"])
def test_persons_that_touch_a_word_are_set_apart(persons: str) -> None:
    """As they stand in DialogSum; otherwise they would be lost on the way back."""
    config = how(persons=persons)
    mapped = clean_summary("It reminds #Person2# of#Person1#likes.", config)
    assert restore(mapped, config) == "It reminds #Person2# of #Person1# likes."
