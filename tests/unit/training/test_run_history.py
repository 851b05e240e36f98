"""The book-keeping of a run, without torch or Lightning in the way."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest

from seqtune.core.config import TrainingConfig
from seqtune.core.errors import TrainingError
from seqtune.training.run_history import RunHistory


def ledger(**options: Any) -> RunHistory:
    validated = options.pop("validated", True)
    config = TrainingConfig(**{"epochs": 10, "monitor": "val_f", "monitor_mode": "max", **options})
    return RunHistory.start(config, fingerprint="f", validated=validated)


def enter(book: RunHistory, *scores: float) -> list[bool]:
    improved = []
    for score in scores:
        improved.append(book.add({"val_f": score}, was_validated=True))
        book.close(asked=False)
    return improved


def test_ties_keep_the_earlier_epoch() -> None:
    book = ledger()
    assert enter(book, 0.1, 0.3, 0.3, 0.2) == [True, True, False, False]
    assert book.best_epoch == 2


def test_min_mode() -> None:
    book = ledger(monitor_mode="min")
    assert enter(book, 0.3, 0.1, 0.2) == [True, True, False]


def test_patience_counts_validations_since_the_last_gain() -> None:
    book = ledger(early_stopping={"patience": 2})
    enter(book, 0.1, 0.2, 0.2)
    assert book.stopped == ""
    enter(book, 0.1)
    assert book.stopped == "early stopping"


def test_the_last_epoch_is_finished_even_if_patience_ends_too() -> None:
    book = ledger(epochs=2, early_stopping={"patience": 1})
    enter(book, 0.2, 0.1)
    assert book.stopped == "finished"


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_monitored_metric_that_is_no_number_is_an_error(score: float) -> None:
    with pytest.raises(TrainingError, match=r"val_f is (nan|inf) after epoch 1"):
        enter(ledger(), score)


def test_its_state_is_plain_and_complete() -> None:
    book = ledger(early_stopping={"patience": 3}, max_minutes=2.0)
    enter(book, 0.1, 0.3, 0.2)
    assert RunHistory(**asdict(book)) == book


def test_without_validation_every_epoch_is_the_best_so_far() -> None:
    book = ledger(validated=False)
    assert not book.add({}, was_validated=False)
    assert not book.add({}, was_validated=False)
    assert book.best_epoch == 2
