"""kill -9 while training, then the same command again: nobody can tell the difference.

The toy task and the program that trains it belong to tests/unit/training.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "training"))
from toy_run import finish, start, wait_for_steps

EVERY_STEP = {"save_state_every_minutes": 1e-9}
OPTIONS: dict[str, Any] = {
    "epochs": 3,
    "lr": 0.02,
    "scheduler": "cosine",
    "warmup_ratio": 0.2,
    "toy": {"seconds_per_batch": 0.03},
}


def kill_after(folder: Path, options: dict[str, Any], *, num_steps: int) -> None:
    """Train, and kill -9 while the step of that number is under way."""
    process = start(folder, options)
    wait_for_steps(folder, num_steps, process)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (folder / "checkpoint").exists()


def outcome(folder: Path) -> dict[str, Any]:
    """What a checkpoint says, without what only tells the time."""
    checkpoint = folder / "checkpoint"
    manifest = json.loads((checkpoint / "checkpoint.json").read_text())
    history = json.loads((checkpoint / "history.json").read_text())
    return {
        "manifest": {name: manifest[name] for name in ("best", "last", "stopped")},
        "history": [{k: v for k, v in row.items() if k != "seconds"} for row in history],
        "best": (checkpoint / "best.safetensors").read_bytes(),
        "last": (checkpoint / "last.safetensors").read_bytes(),
    }


@pytest.mark.parametrize(
    ("options", "num_steps", "resumed_from"),
    [
        ({}, 3, "None"),
        ({}, 8, "epoch 2, batch 1"),
        (EVERY_STEP, 8, "epoch 2, batch 3"),
        ({**EVERY_STEP, "accumulate_grad_batches": 2}, 9, "epoch 2, batch 3"),
    ],
    ids=[
        "before_any_state",
        "before_a_state_of_the_epoch",
        "after_a_state_within_the_epoch",
        "within_accumulated_gradients",
    ],
)
def test_killed_in_mid_epoch_and_resumed_is_bit_for_bit_the_uninterrupted_run(
    tmp_path: Path, options: dict[str, Any], num_steps: int, resumed_from: str
) -> None:
    options = {**OPTIONS, **options}
    finish(tmp_path / "whole" / "run", options)
    killed = tmp_path / "killed" / "run"
    kill_after(killed, options, num_steps=num_steps)
    assert str(finish(killed, options)["resumed_from"]) == resumed_from
    assert outcome(killed) == outcome(tmp_path / "whole" / "run")


def test_killed_again_and_again_it_still_arrives(tmp_path: Path) -> None:
    options = {**OPTIONS, **EVERY_STEP}
    finish(tmp_path / "whole" / "run", options)
    killed = tmp_path / "killed" / "run"
    for num_steps in (4, 9, 13):
        kill_after(killed, options, num_steps=num_steps)
    finish(killed, options)
    assert outcome(killed) == outcome(tmp_path / "whole" / "run")
