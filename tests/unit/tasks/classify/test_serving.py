"""Rows in, labels out: what MLflow serves."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from seqtune.core.errors import ConfigurationError, DataError
from seqtune.core.serving import Column
from seqtune.tasks.classify.loading import load_classifier
from seqtune.tasks.classify.score_normalization import probabilities_of
from seqtune.tasks.classify.serving import open_served

from .examples import LABELS
from .fixed_logits import write_ensemble

TEXTS = ["bread and ball", "나쁜 말", ""]


def test_answers_are_the_probabilities_of_the_checkpoint(small_checkpoint: Path) -> None:
    served = open_served(small_checkpoint)
    answers = served.answers([{"text": text} for text in TEXTS], served.settings)
    logits = load_classifier(small_checkpoint).logits(TEXTS, batch_size=64)
    for lines, row in zip(answers, probabilities_of(logits), strict=True):
        assert {line["label"]: line["probability"] for line in lines} == dict(
            zip(LABELS, row.tolist(), strict=True)
        )
        assert [line["probability"] for line in lines] == sorted(row.tolist(), reverse=True)
        assert all(line["given"] == (line["probability"] >= line["threshold"]) for line in lines)
    assert json.loads(json.dumps(answers)) == answers


def test_a_checkpoint_decides_by_the_thresholds_of_its_training(small_checkpoint: Path) -> None:
    own = load_classifier(small_checkpoint).thresholds
    assert own is not None
    served = open_served(small_checkpoint)
    assert json.loads(served.settings["thresholds"]) == dict(zip(LABELS, own.tolist(), strict=True))


def test_an_ensemble_decides_by_its_own_thresholds(small_checkpoint: Path, tmp_path: Path) -> None:
    found = [0.0, 1.0, 0.1 + 0.2]
    decision = {"thresholds": dict(zip(LABELS, found, strict=True))}
    served = open_served(write_ensemble(tmp_path / "e", {small_checkpoint: 1.0}, decision=decision))
    assert json.loads(served.settings["thresholds"]) == dict(zip(LABELS, found, strict=True))
    (all_lines,) = served.answers([{"text": "a"}], served.settings)
    assert {line["label"]: line["threshold"] for line in all_lines} == dict(
        zip(LABELS, found, strict=True)
    )
    (given,) = served.answers([{"text": "a"}], {**served.settings, "only_given": True})
    assert [line for line in all_lines if line["given"]] == given
    assert "food" in [line["label"] for line in given]
    assert "sport" not in [line["label"] for line in given]


def test_a_checkpoint_takes_the_thresholds_it_is_told(small_checkpoint: Path) -> None:
    served = open_served(small_checkpoint)

    def given(thresholds: object) -> dict[str, int]:
        settings = {**served.settings, "thresholds": json.dumps(thresholds)}
        (lines,) = served.answers([{"text": "a"}], settings)
        return {line["label"]: line["given"] for line in lines}

    assert given(0) == dict.fromkeys(LABELS, 1)
    assert given({"나쁨": 0, "food": 1, "sport": 0.0}) == {"food": 0, "sport": 1, "나쁨": 1}


@pytest.mark.parametrize(
    "value", ["half", "1.5", "true", "null", "[0.5]", '{"food": 0.5}', '{"food": "a"}', "NaN"]
)
def test_invalid_thresholds_are_refused(small_checkpoint: Path, value: str) -> None:
    settings = {"only_given": False, "thresholds": value}
    with pytest.raises(
        ConfigurationError, match="must be JSON: a number from 0 to 1, or an object"
    ):
        open_served(small_checkpoint).answers([{"text": "a"}], settings)


def test_texts_are_cleaned_as_they_were_for_training(small_checkpoint: Path) -> None:
    served = open_served(small_checkpoint)
    limit = load_classifier(small_checkpoint).config.ingest.max_characters
    composed, long = "나쁜 말", "a" * limit  # to the tokeniser one unknown word
    raw = [f"  {unicodedata.normalize('NFD', composed)}\x00\ufeff ", f"{long} ball", long]
    dirty, cut, same = served.answers([{"text": text} for text in raw], served.settings)
    (clean,) = served.answers([{"text": composed}], served.settings)
    assert cut == same
    by_label = [{line["label"]: line["probability"] for line in own} for own in (dirty, clean)]
    assert by_label[0] == pytest.approx(by_label[1])


def test_it_says_what_it_takes_and_answers_its_own_example(small_checkpoint: Path) -> None:
    served = open_served(small_checkpoint)
    assert served.columns == (Column("text", "text"),)
    answers = served.answers(served.example, served.settings)
    assert all(set(line) == set(served.answer) for lines in answers for line in lines)


@pytest.mark.parametrize("row", [{}, {"text": None}, {"text": 3}])
def test_what_is_no_text_is_refused(small_checkpoint: Path, row: dict[str, object]) -> None:
    served = open_served(small_checkpoint)
    with pytest.raises(DataError, match="text must be a text, not"):
        served.answers([row], served.settings)
