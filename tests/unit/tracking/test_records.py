"""Trials and checkpoints as records: what is said of each, in plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from seqtune.core.trials import State, Trial
from seqtune.tracking import rows_of_history, trial_record

STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRIAL = Trial(
    number=3,
    state="complete",
    params={"training.lr": 0.01},
    score=0.5,
    values=(0.5,),
    metrics={"val_ndcg@10": 0.5, "peak_memory_mib": 120.0},
    curve={1: 0.4, 2: 0.5},
    started=STARTED.isoformat(),
    seconds=8.0,
    worker="host/12/gpu 0",
    study="recommend-quick-1",
)


def test_trial_says_its_parameters_its_curve_and_what_it_measured() -> None:
    record = trial_record(TRIAL, stage="recommend.tune.quick", metric="val_ndcg@10")

    assert (record.kind, record.name, record.group) == ("training", "trial 3", "recommend-quick-1")
    assert record.params == {"training.lr": 0.01}
    assert record.series == {"epoch/val_ndcg@10": {1: 0.4, 2: 0.5}}
    assert record.metrics == {
        "val_ndcg@10": 0.5,
        "peak_memory_mib": 120.0,
        "score": 0.5,
        "seconds": 8.0,
        "epochs": 2.0,
    }
    assert record.tags["worker"] == "host/12/gpu 0"
    assert record.started == STARTED.timestamp()


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("complete", "FINISHED"),
        ("pruned", "FINISHED"),
        ("infeasible", "FAILED"),
        ("failed", "FAILED"),
        ("lost", "KILLED"),
    ],
)
def test_a_trial_ends_as_what_became_of_it(state: State, end: str) -> None:
    trial = Trial(number=0, state=state, params={}, reason="too slow")

    record = trial_record(trial, stage="s", metric="m")

    assert record.end == end
    assert (record.tags["state"], record.tags["reason"]) == (state, "too slow")


@pytest.mark.parametrize(("seconds", "is_new"), [(-60, True), (60, False)])
def test_a_trial_from_before_the_run_is_not_new(seconds: float, is_new: bool) -> None:
    since = STARTED.timestamp() + seconds

    assert trial_record(TRIAL, stage="s", metric="m", since=since).is_new is is_new


def test_history_becomes_one_curve_a_metric(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_text('[{"epoch": 1, "train_loss": 2.5}, {"epoch": 2, "train_loss": 2, "val_x": 1}]')

    assert rows_of_history(file) == {
        "epoch/train_loss": {1: 2.5, 2: 2.0},
        "epoch/val_x": {2: 1.0},
    }
