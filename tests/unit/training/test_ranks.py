"""Two processes on the CPU, spawned by Lightning."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy_run import num_steps

from seqtune.core.config import TrainingConfig
from seqtune.training.ranks import strategy_for

RUN = Path(__file__).parent / "toy_run.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run(folder: Path, options: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    folder.parent.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, str(RUN), str(folder), json.dumps(options)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def numbers(folder: Path) -> list[dict[str, float]]:
    history = json.loads((folder.parent / "result.json").read_text())["history"]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_one_device_needs_no_strategy_and_several_are_spawned() -> None:
    assert strategy_for(TrainingConfig(), "cpu") == "auto"
    assert strategy_for(TrainingConfig(devices="auto"), "cpu") == "auto"
    assert strategy_for(TrainingConfig(devices=2), "cpu") == "ddp_spawn"


@pytest.mark.slow
def test_two_ranks_make_one_checkpoint_and_resume(tmp_path: Path) -> None:
    options = {"devices": 2, "epochs": 3, "scheduler": "linear", "save_state_every_minutes": 1e-9}
    whole = run(tmp_path / "whole" / "run", options)
    assert whole.returncode == 0, whole.stderr
    assert whole.stderr.count("epoch 1/3") == 1, "one rank speaks"
    assert "Initializing distributed" not in whole.stderr

    folder = tmp_path / "broken" / "run"
    broken = run(folder, {**options, "toy": {"poison_at": [1, 0]}})
    assert broken.returncode == 1, broken.stderr
    error = (folder.parent / "error.txt").read_text()
    assert error.startswith("TrainingError: the loss became nan in epoch 2, step 1")
    assert "Traceback" not in error
    resumed = run(folder, options)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming at epoch 2, batch 1" in resumed.stderr
    assert numbers(folder) == numbers(tmp_path / "whole" / "run")
    assert [row["epoch"] for row in numbers(folder)] == [1, 2, 3]


@pytest.mark.slow
def test_a_signal_to_the_launching_process_stops_all_ranks_with_a_state(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = {"devices": 2, "epochs": 500, "toy": {"seconds_per_batch": 0.02}}
    command = [sys.executable, str(RUN), str(folder), json.dumps(options)]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while num_steps(folder) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert "Interrupted: stopped by signal 15" in (tmp_path / "error.txt").read_text()
    assert list(folder.glob("state-*.ckpt"))
