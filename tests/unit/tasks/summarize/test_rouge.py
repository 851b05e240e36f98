"""ROUGE by hand, beside numbers of rouge_score 0.1.2, and on Korean."""

import builtins
import time
import unicodedata

import numpy as np
import pytest

from seqtune.core.errors import ConfigurationError
from seqtune.tasks.summarize import rouge as rouge_module
from seqtune.tasks.summarize.rouge import named, rouge

KOREAN = (
    "#Person1#은 #Person2#에게 저녁 약속을 일곱 시로 미루자고 말합니다.",
    "#Person2#는 열쇠를 잃어버려서 #Person1#의 집에서 하룻밤을 보냅니다.",
    "#Person1#이 새로 산 자전거가 고장 나서 #Person2#가 고쳐 줍니다.",
    "#Person1#과 #Person2#는 주말에 바다로 여행을 가기로 합니다.",
    "#Person2#는 시험을 망쳤고 #Person1#은 위로의 말을 건넵니다.",
    "#Person1#은 병원 예약을 취소하고 싶어 하며 #Person2#가 도와줍니다.",
    "#Person2#의 고양이가 아파서 #Person1#이 수의사를 소개합니다.",
    "#Person1#은 회의 자료를 집에 두고 와서 #Person2#에게 사과합니다.",
    "#Person2#는 김치찌개 만드는 법을 #Person1#에게 알려 줍니다.",
    "#Person1#이 이사할 집을 찾고 있어 #Person2#가 방 세 곳을 보여 줍니다.",
)
CONSTANT = "#Person1# #Person2#"


def one(prediction, *references, tokenizer="words", combine="max"):
    return rouge([prediction], [references], tokenizer=tokenizer, combine=combine)[0]


def test_by_hand():
    # shared: a b c d; pairs: none; in order: a b d or a c d
    assert one("a b c d", "a c b d") == pytest.approx([1.0, 0.0, 3 / 4], abs=1e-15)
    # the counts 2, not 3; pairs (the cat); in order: the the, or the cat
    found = one("the the the cat", "the cat the mat")
    assert found == pytest.approx([3 / 4, 1 / 3, 1 / 2], abs=1e-15)
    assert one("a b", "a b c d e f") == pytest.approx([2 * 2 / 8, 2 * 1 / 6, 2 * 2 / 8], abs=1e-15)


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [  # fmeasure of rouge_score 0.1.2, RougeScorer(["rouge1", "rouge2", "rougeL"])
        (
            "The quick brown fox jumps over the lazy dog.",
            "A quick brown dog jumps on the lazy fox, doesn't it?",
            (0.6666666666666666, 0.2105263157894737, 0.4761904761904762),
        ),
        (
            "the the the cat",
            "the cat the mat the",
            (0.888888888888889, 0.28571428571428575, 0.6666666666666665),
        ),
    ],
)
def test_the_numbers_of_rouge_score_on_english(prediction, reference, expected):
    assert one(prediction, reference) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tokenizer", ["words", "characters", "morphemes"])
def test_equal_texts_score_one_and_nothing_scores_nothing(tokenizer):
    for text in KOREAN:
        assert one(text, text, tokenizer=tokenizer) == pytest.approx([1.0, 1.0, 1.0])
    for prediction, reference in [("", KOREAN[0]), (KOREAN[0], ""), ("", ""), ("...", "!?")]:
        assert not one(prediction, reference, tokenizer=tokenizer).any()


@pytest.mark.parametrize(
    ("tokenizer", "most"), [("words", 0.0), ("characters", 0.2), ("morphemes", 0.3)]
)
def test_naming_the_persons_alone_earns_next_to_nothing(tokenizer, most):
    scores = rouge([CONSTANT] * 10, [[text] for text in KOREAN], tokenizer=tokenizer, combine="max")
    assert scores[:, 0].max() <= most  # two units of ten and more, where particles are apart
    assert not scores[:, 1].any()
    # what deletes Hangul leaves the two names alone, and finds everything right
    deleted = ["".join(c if c.isascii() else " " for c in text) for text in KOREAN]
    as_it_is_not = rouge(
        [CONSTANT] * 10, [[text] for text in deleted], tokenizer="words", combine="max"
    )
    assert as_it_is_not[:, 0].min() == 1.0


def test_hangul_counts():
    assert one("저녁 약속을 미룹니다", "저녁 약속을 지킵니다") == pytest.approx(
        [2 / 3, 1 / 2, 2 / 3]
    )
    # of Korean, 3 of 4 syllables
    assert one("가나다", "가나라다", tokenizer="characters")[0] == pytest.approx(6 / 7)
    assert one(unicodedata.normalize("NFD", "한국"), "한국", tokenizer="words")[0] == 1.0


def test_a_placeholder_is_one_unit_and_never_its_letters():
    assert one("#Person1#", "person1")[0] == 0.0
    assert one("#Person1#, #Person2#!", "#person2# #PERSON1#")[0] == 1.0
    assert not one("#Person1#", "#Person2#", tokenizer="characters").any()
    assert not one("#Person1#", "#Person2#", tokenizer="morphemes").any()
    assert one("#Person1##Person2#", "#Person1# #Person2#", tokenizer="characters")[0] == 1.0


def test_morphemes_part_a_word_from_its_particle():
    assert one("#Person1#은", "#Person1#이", tokenizer="words")[0] == 0.0
    # #Person1# is shared, the particle is not
    assert one("#Person1#은", "#Person1#이", tokenizer="morphemes")[0] == pytest.approx(1 / 2)
    assert one("학교에 갔다.", "학교에 갔다!", tokenizer="morphemes")[0] == 1.0


def test_several_references_give_the_best_of_them_or_their_mean():
    references = ("a b c d", "b a", "x")
    alone = np.array([one("a b", reference) for reference in references])
    assert one("a b", *references) == pytest.approx(alone.max(axis=0))
    assert one("a b", *references, combine="mean") == pytest.approx(alone.mean(axis=0))
    assert alone[:, 0].argmax() != alone[:, 1].argmax()  # the best is sought for each of the three


def test_names_of_the_means():
    scores = np.array([[0.5, 0.25, 0.5], [0.0, 0.25, 0.25]])
    assert named(scores, prefix="val_") == {
        "val_rouge1": 0.25,
        "val_rouge2": 0.25,
        "val_rougeL": 0.375,
        "val_rouge_sum": 0.875,
    }
    assert named(np.zeros((0, 3)))["rouge_sum"] == 0.0


def test_rows_without_a_reference_are_no_silent_zero():
    with pytest.raises(ValueError, match="no reference in row 1 and 0 more"):
        rouge(["a", "b"], [["a"], []], tokenizer="words", combine="max")
    with pytest.raises(ValueError, match="1 predictions for 2 rows"):
        rouge(["a"], [["a"], ["b"]], tokenizer="words", combine="max")


def test_it_is_fast():
    words = [f"w{number % 97}" for number in range(60)]
    texts = [" ".join(words[number % 11 :]) for number in range(500)]
    start = time.process_time()
    rouge(texts, [[text, texts[0], texts[1]] for text in texts], tokenizer="words", combine="max")
    assert time.process_time() - start < 2.0  # 0.15 s on a quiet core


def test_the_missing_library_of_morphemes_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name == "kiwipiepy":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    rouge_module._kiwi.cache_clear()
    with pytest.raises(ConfigurationError, match=r"needs the library kiwipiepy.*choose words or"):
        one("a", "a", tokenizer="morphemes")
