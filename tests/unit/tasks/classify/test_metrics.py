"""Metrics of labels against numbers worked out by hand, and against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from seqtune.core.errors import TrainingError
from seqtune.tasks.classify.metrics import by_label, decided_metrics, lrap, validation_metrics
from seqtune.tasks.classify.score_normalization import probabilities_of

PROBABILITIES = np.array([[0.9, 0.2, 0.6], [0.4, 0.8, 0.1], [0.7, 0.6, 0.3], [0.2, 0.1, 0.4]])
TARGETS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])


def test_metrics_by_hand():
    found = decided_metrics(PROBABILITIES, TARGETS, 0.5)
    # given: 0 2 | 1 | 0 1 | nothing
    labels = by_label(PROBABILITIES >= 0.5, TARGETS)
    assert labels.positives.tolist() == [2, 2, 0]
    assert labels.given.tolist() == [2, 2, 1]
    assert labels.hits.tolist() == [1, 2, 0]
    assert labels.precision.tolist() == [1 / 2, 1.0, 0.0]
    assert labels.recall.tolist() == [1 / 2, 1.0, 0.0]
    assert labels.f1.tolist() == [1 / 2, 1.0, 0.0]
    assert found == {
        "macro_f1": pytest.approx((1 / 2 + 1) / 3),
        "micro_f1": 2 * 3 / (5 + 4),
        "macro_precision": pytest.approx((1 / 2 + 1) / 3),
        "macro_recall": pytest.approx((1 / 2 + 1) / 3),
        "exact_match": 1 / 4,
    }


def test_thresholds_may_differ_by_label_and_by_row():
    by_labels = decided_metrics(PROBABILITIES, TARGETS, np.array([0.3, 0.6, 0.7]))
    assert by_labels["exact_match"] == 3 / 4
    by_rows = np.tile([0.3, 0.6, 0.7], (4, 1))
    by_rows[2, 0] = 0.8
    assert decided_metrics(PROBABILITIES, TARGETS, by_rows)["exact_match"] == 1.0


def test_lrap_by_hand():
    # 1 | 0.8 before 0.4: (1 + 1) / 2 | one before: 1 / 2 | no label: 1
    assert lrap(PROBABILITIES, TARGETS) == pytest.approx((1 + 1 + 1 / 2 + 1) / 4)


def test_equal_probabilities_count_against_the_model():
    equal = np.full((1, 4), 0.5)
    assert lrap(equal, np.array([[0, 1, 0, 0]])) == 1 / 4
    assert lrap(equal, np.array([[1, 1, 0, 0]])) == (1 / 3 + 2 / 4) / 2
    assert lrap(equal, np.array([[1, 1, 1, 1]])) == 1.0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 12))
def test_they_are_those_of_scikit_learn(seed, rows, labels):
    random = np.random.default_rng(seed)
    probabilities = random.permutation(rows * labels).reshape(rows, labels) / (rows * labels)
    targets = (random.random((rows, labels)) < random.random()).astype(int)
    thresholds = random.random(labels)
    decided = (probabilities >= thresholds).astype(int)
    found = decided_metrics(probabilities, targets, thresholds)
    for average in ("macro", "micro"):
        expected = reference.f1_score(targets, decided, average=average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(expected)
    assert found["exact_match"] == pytest.approx((targets == decided).all(axis=1).mean())
    expected = reference.label_ranking_average_precision_score(targets, probabilities)
    assert lrap(probabilities, targets) == pytest.approx(expected)
    own = by_label(decided > 0, targets)
    options = {"average": None, "zero_division": 0}
    assert own.precision == pytest.approx(reference.precision_score(targets, decided, **options))
    assert own.recall == pytest.approx(reference.recall_score(targets, decided, **options))


def test_what_training_logs():
    logits = np.log(PROBABILITIES / (1 - PROBABILITIES)).astype(np.float32)
    found = validation_metrics(logits, TARGETS)
    assert list(found) == ["macro_f1", "micro_f1", "macro_f1_tuned", "lrap", "exact_match"]
    assert found["macro_f1"] == pytest.approx((1 / 2 + 1) / 3)
    # first label: 0.9 0.7 0.4 are given, two of them rightly; the third has no positive
    assert found["macro_f1_tuned"] == pytest.approx((4 / 5 + 1 + 0) / 3)
    assert found["exact_match"] == 1 / 4


def test_no_rows_are_no_error():
    found = validation_metrics(np.empty((0, 3)), np.empty((0, 3), np.int8))
    assert set(found.values()) == {0.0}


def test_extreme_logits_stay_numbers():
    found = probabilities_of(np.array([[-1e4, -40.0, 0.0, 40.0, 1e4, np.inf, -np.inf]]))
    assert found[0, [0, 2, 4, 5, 6]].tolist() == [0.0, 0.5, 1.0, 1.0, 0.0]
    assert 0.0 < found[0, 1] < 1e-17
    logits = np.random.default_rng(0).normal(size=50) * 5
    assert probabilities_of(logits) == pytest.approx(1 / (1 + np.exp(-logits)))


def test_a_model_that_says_nothing_is_refused():
    with pytest.raises(TrainingError, match="not a number"):
        validation_metrics(np.array([[0.0, np.nan, 0.0]]), TARGETS[:1])
