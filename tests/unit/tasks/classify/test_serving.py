"""Rows in, labels out: what MLflow serves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqtune.contracts.errors import DataError
from seqtune.contracts.serving import Column
from seqtune.tasks.classify.scales import probabilities_of
from seqtune.tasks.classify.scorer import load_classifier
from seqtune.tasks.classify.serving import ServedClassifier, open_served

from .examples import LABELS

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
        assert [line["given"] for line in lines] == [int(-p >= 0.5) for p in sorted(-row)]
    assert json.loads(json.dumps(answers)) == answers


def test_each_label_has_a_threshold_of_its_own(small_checkpoint: Path) -> None:
    """As in an ensemble that was decided on valid."""
    opened = replace(open_served(small_checkpoint).model, thresholds=np.array([0.0, 1.0, 0.0]))
    served = ServedClassifier(opened)
    (all_lines,) = served.answers([{"text": "a"}], {"only_given": False})
    (given,) = served.answers([{"text": "a"}], {"only_given": True})
    assert len(all_lines) == 3
    assert {line["label"] for line in given} == {"food", "나쁨"}


def test_it_says_what_it_takes_and_answers_its_own_example(small_checkpoint: Path) -> None:
    served = open_served(small_checkpoint)
    assert served.columns == (Column("text", "text"),)
    answers = served.answers(served.example, served.settings)
    assert all(set(line) == set(served.answer) for lines in answers for line in lines)


@pytest.mark.parametrize("row", [{}, {"text": None}, {"text": 3}])
def test_what_is_no_text_is_refused(small_checkpoint: Path, row: dict[str, object]) -> None:
    with pytest.raises(DataError, match="text must be a text, not"):
        open_served(small_checkpoint).answers([row], {"only_given": False})
