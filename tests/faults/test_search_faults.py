"""A search in which trials raise, diverge, do not fit, hang and are killed, as are whole runs.

Whatever happens: no finished trial is lost, none counts twice, what died is run again, and the
total comes out exactly.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from toy_searches import Toy, run, start, storage, toy_plan

from seqtune.core.errors import TuningError
from seqtune.core.trials import Trial
from seqtune.tuning.config import GuardConfig
from seqtune.tuning.studies.records import read_trials
from seqtune.tuning.studies.study import load_study, study_name

SECONDS = 60.0


def trials_of(folder: Path, total: int) -> list[Trial]:
    return read_trials(load_study(storage(folder), study_name(toy_plan(total))))


def finished(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.is_finished]


def wait_for_starts(toy: Toy, number: int, *processes: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while len(toy.started()) < number:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_exact(trials: Sequence[Trial], total: int) -> None:
    """As many finished trials as were asked for, and no configuration twice among them."""
    done = finished(trials)
    assert len(done) == total
    assert len({trial.params["x"] for trial in done}) == total
    assert not [trial for trial in trials if trial.state == "running"]


# ---- one trial ----------------------------------------------------------------------------------


def test_trials_that_go_wrong_are_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    acts = {1: "raise", 2: "diverge", 3: "refuse", 4: "memory", 5: "die"}
    result = run(tmp_path, toy_plan(7), Toy(tmp_path, acts), num_workers=2)

    assert_exact(result.trials, 7)
    assert result.stopped == ""
    by_number = {trial.number: trial for trial in result.trials}
    assert [by_number[number].state for number in acts] == [
        *("failed", "failed", "infeasible", "infeasible", "lost")
    ]
    assert by_number[1].reason.startswith("ValueError: no such thing (toy_searches.py:")
    assert "val_score is nan" in by_number[2].reason
    assert by_number[3].reason == "7 heads do not divide 64"
    assert by_number[4].reason.startswith("MemoryError: cannot allocate 1 TiB")
    assert "SIGKILL" in by_number[5].reason or "signal 9" in by_number[5].reason
    (again,) = [trial for trial in result.trials if trial.origin == "retried"]
    assert again.params == by_number[5].params
    assert again.state == "complete"
    assert again.curve[2] == by_number[5].curve[2]


def test_a_trial_that_hangs_is_killed_and_its_worker_replaced(tmp_path: Path) -> None:
    guards = GuardConfig(trial_timeout_minutes=2 / 60)
    plan = toy_plan(3, guards=guards)
    result = run(tmp_path, plan, Toy(tmp_path, {1: "hang"}), num_workers=1)

    assert_exact(result.trials, 3)
    assert [trial.state for trial in result.trials] == ["complete", "failed", *["complete"] * 2]
    assert "took longer than 2 s" in result.trials[1].reason


def test_failures_that_stopped_a_search_are_not_held_against_the_next_run(tmp_path: Path) -> None:
    toy = Toy(tmp_path, {0: "raise"})
    plan = toy_plan(2, guards=GuardConfig(max_failures_in_a_row=1))
    with pytest.raises(TuningError, match="1 trials failed in a row"):
        run(tmp_path, plan, toy, num_workers=1)
    result = run(tmp_path, plan, toy, num_workers=1)
    assert_exact(result.trials, 2)


# ---- whole runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "everyone",
    [pytest.param(False, marks=pytest.mark.slow, id="parent"), pytest.param(True, id="everyone")],
)
def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path, everyone: bool) -> None:
    toy = Toy(tmp_path)
    process = start(tmp_path, total=8, num_workers=2, seconds=0.2)
    wait_for_starts(toy, 4, process)
    for pid in toy.pids() if everyone else set():
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()
    wait_until_gone(toy.pids())
    before = finished(trials_of(tmp_path, 8))
    assert 1 <= len(before) < 8

    result = run(tmp_path, toy_plan(8), toy, num_workers=2)
    assert_exact(result.trials, 8)
    assert result.num_new == 8 - len(before)
    assert [trial for trial in result.trials if trial.number in {one.number for one in before}] == (
        before
    )
    # a worker may also give a trial back when the other is about to finish the total
    lost = [one for one in result.trials if one.state == "lost" and "given back" not in one.reason]
    assert 1 <= len(lost) <= 2
    again = [trial for trial in result.trials if trial.origin == "retried"]
    assert {trial.params["x"] for trial in again} == {trial.params["x"] for trial in lost}
    assert max(Counter(toy.started()).values()) == 2


@pytest.mark.slow
def test_a_run_that_is_asked_to_stop_keeps_what_is_done_and_goes_on(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    process = start(tmp_path, total=6, num_workers=2, seconds=0.2)
    wait_for_starts(toy, 4, process)
    process.send_signal(signal.SIGINT)
    process.wait(SECONDS)
    assert not [trial for trial in trials_of(tmp_path, 6) if trial.state == "running"]

    result = run(tmp_path, toy_plan(6), toy, num_workers=2)
    assert_exact(result.trials, 6)
    assert all(trial.reason.startswith("stopped") for trial in result.trials if trial.reason)


@pytest.mark.slow
def test_two_runs_of_one_study_at_the_same_time_reach_the_total_together(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    processes = [start(tmp_path, total=9, num_workers=2, seconds=0.05) for _ in range(2)]
    try:
        assert [process.wait(SECONDS) for process in processes] == [0, 0]
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
    trials = trials_of(tmp_path, 9)
    assert_exact(trials, 9)
    assert len(toy.pids()) == 4
    assert all(count == 1 for count in Counter(toy.started()).values())
