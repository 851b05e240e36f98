"""What the two floors say."""

import pytest

from seqtune.tasks.summarize.baselines import (
    baseline_summaries,
    lead_3,
    longest_sentence,
    utterances,
)

DIALOGUE = (
    "#Person1#: Hi,  there.\n\n#Person2#: Hello! How are you?\n#Person1#: Fine.\nMs. Kim: Good."
)


def test_utterances_stand_in_one_line_with_their_speaker():
    assert utterances(DIALOGUE) == [
        "#Person1# Hi, there.",
        "#Person2# Hello! How are you?",
        "#Person1# Fine.",
        "Ms. Kim: Good.",
    ]
    assert lead_3(DIALOGUE) == "#Person1# Hi, there. #Person2# Hello! How are you? #Person1# Fine."
    assert longest_sentence(DIALOGUE) == "#Person2# Hello! How are you?"


@pytest.mark.parametrize(
    ("dialogue", "lead", "longest"),
    [
        ("One. Two is longer! Three? Four.", "One. Two is longer! Three?", "Two is longer!"),
        ("저녁 먹었어요? 아직요。 네", "저녁 먹었어요? 아직요。 네", "저녁 먹었어요?"),
        ("no mark at all", "no mark at all", "no mark at all"),
        ("same\nsize", "same size", "same"),
        ("", "", ""),
        ("\n \n", "", ""),
    ],
)
def test_any_dialogue(dialogue, lead, longest):
    assert (lead_3(dialogue), longest_sentence(dialogue)) == (lead, longest)


def test_a_time_of_day_is_no_speaker():
    assert utterances("We meet at 7:30.\nAll right.")[0] == "We meet at 7:30."


def test_all_floors_by_name():
    assert baseline_summaries(["a\nb\nc\nd long"]) == {
        "lead_3": ["a b c"],
        "longest_sentence": ["d long"],
    }
