"""The foreseen time of a training, and the share of it that validations take."""

from __future__ import annotations

import pytest

from seqtune.training import TrainingCosts


def costs(validation_seconds: float | None) -> TrainingCosts:
    return TrainingCosts(
        step_seconds=1.0,
        batches_per_epoch=30,
        steps_per_epoch=15,
        validation_seconds=validation_seconds,
        epochs=4,
        validations=2,
    )


def test_validations_are_spread_over_the_epochs() -> None:
    found = costs(20.0)

    assert found.seconds == pytest.approx(4 * 30 + 2 * 20)
    assert found.validation_share == pytest.approx(0.25)
    assert "40 s for the epoch, of which its validation takes 25%" in found.lines[0]


def test_without_validation_all_of_it_is_training() -> None:
    assert costs(None).validation_share == 0.0
