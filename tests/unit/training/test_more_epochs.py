"""A finished training resumed with more epochs ends as one long training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_resume import outcome
from toy_task import ToyData, toy_config, toy_spec

from seqtune.training import FitResult, fit
from seqtune.training.optimizers import Schedule
from seqtune.training.resume_checkpoints import adopt, move_newest, newest

SHORT, LONG = 2, 5


def train(directory: Path, *, epochs: int, keep_state: bool = False, **options: Any) -> FitResult:
    data = ToyData()
    return fit(
        toy_spec(data),
        toy_config(epochs=epochs, **{"lr": 0.02, **options}),
        data,
        directory=directory,
        fingerprint=f"{epochs:016}",
        progress=False,
        keep_state=keep_state,
    )


def promoted(folder: Path, *, epochs: int = LONG, **options: Any) -> FitResult:
    """The result of a short training and of what is missing to `epochs`."""
    train(folder / "short", epochs=SHORT, keep_state=True, **options)
    (folder / "kept").mkdir()
    assert move_newest(folder / "short", folder / "kept")
    (folder / "long").mkdir()
    state = newest(folder / "kept")
    assert state is not None
    config = toy_config(epochs=epochs, **options).training
    adopt(state, folder / "long", config, fingerprint=f"{epochs:016}")
    return train(folder / "long", epochs=epochs, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scheduler": "step", "step_size_epochs": 2, "precision": "bf16"},
        {"warmup_steps": 12, "accumulate_grad_batches": 2},
        {"monitor": "val_epoch", "early_stopping": {"patience": 1}},
        {"monitor": "val_epoch", "early_stopping": {"patience": 2}},
        {"validate_every_epochs": 2, "optimizer": "sgd"},
    ],
    ids=["plain", "step", "warm_up", "over_already", "over_soon", "validated_rarely"],
)
def test_resumed_with_more_epochs_it_is_one_long_training(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    whole = train(tmp_path / "whole", epochs=LONG, **options)
    parts = promoted(tmp_path, **options)
    assert outcome(parts) == outcome(whole)
    assert parts.resumed_from == "epoch 3, batch 1"
    assert [path.name for path in (tmp_path / "long").iterdir()] == ["checkpoint"]


def test_as_many_epochs_as_before_are_not_trained_again(tmp_path: Path) -> None:
    again = promoted(tmp_path, epochs=SHORT)
    assert outcome(again) == outcome(train(tmp_path / "whole", epochs=SHORT))


def test_a_training_kept_once_is_kept_again(tmp_path: Path) -> None:
    train(tmp_path, epochs=SHORT, keep_state=True)
    assert train(tmp_path, epochs=SHORT, keep_state=True).resumed_from == "its end"
    assert newest(tmp_path) is not None
    train(tmp_path, epochs=SHORT)
    assert newest(tmp_path) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"scheduler": "step"}, False),
        ({"warmup_steps": 9}, False),
        ({"warmup_ratio": 0.1}, True),
        ({"warmup_ratio": 0.1, "warmup_steps": 9}, False),
        *(({"scheduler": kind}, True) for kind in ("cosine", "linear", "polynomial")),
    ],
)
def test_which_schedules_depend_on_the_number_of_epochs(
    options: dict[str, Any], expected: bool
) -> None:
    schedules = [Schedule(toy_config(epochs=n, **options).training) for n in (SHORT, LONG)]
    for schedule in schedules:
        schedule.steps_per_epoch = 10
    assert schedules[0].depends_on_epochs is expected
    rates = [[schedule(step) for step in range(1, 10 * SHORT)] for schedule in schedules]
    assert (rates[0] != rates[1]) is expected
