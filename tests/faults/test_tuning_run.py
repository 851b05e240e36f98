"""What can happen to `kedro run --pipelines tune`, and how it goes on afterwards."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kedro_results import Kedro, succeed

USERS, ITEMS_EACH = 60, 9
TUNING = """
tuning:
  workers: 2
  stages:
    test: {trials: 1, epochs: 1}
    quick: {trials: 2, epochs: 2}
    medium: {trials: 4, epochs: 40}
  pruner: {kind: none}
  rerank: {top: 0}
recommend:
  preset: small
  training: {accelerator: cpu, early_stopping: {patience: 0}}
  tuning:
    spaces:
      quick: &tiny
        model:
          hidden_units: {choices: [8]}
          num_heads: {choices: [1, 2]}
          num_layers: {choices: [1]}
          max_len: {choices: [8]}
        training:
          batch_size: {choices: [2]}
      medium: *tiny
"""
COMPLETE, PRUNED, FAIL, RUNNING = "COMPLETE", "PRUNED", "FAIL", "RUNNING"


@pytest.fixture
def searched(project: Path, kedro: Kedro) -> Path:
    """A project whose data are split and whose test and quick stages are done; its study file."""
    write_data(project, items=12)
    (project / "conf" / "local" / "parameters_tuning.yml").write_text(TUNING)
    succeed(kedro, "--pipelines", "ingest,split")
    succeed(kedro, "--pipelines", "tune", "--to-nodes", "recommend.tune.quick.narrow")
    return project / "data/06_models/recommend/studies.db"


def write_data(project: Path, *, items: int) -> None:
    raw = project / "data" / "01_raw" / "recommend"
    raw.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{user},{(user + step) % items + 100},{1000 + step}"
        for user in range(1, USERS + 1)
        for step in range(ITEMS_EACH)
    ]
    (raw / "interactions.csv").write_text("\n".join(["user,item,time", *rows, ""]))


def states(studies: Path, stage: str) -> list[str]:
    """States of all trials of the stage, in the order of their numbers."""
    query = (
        "select t.state from trials t join studies s on s.study_id = t.study_id "
        "where s.study_name like ? order by t.number"
    )
    with sqlite3.connect(studies) as database:
        return [state for (state,) in database.execute(query, (f"recommend-{stage}-%",))]


def start(project: Path) -> subprocess.Popen[bytes]:
    """`kedro run --pipelines tune` in a process group of its own."""
    import seqtune

    environment = {**os.environ, "PYTHONPATH": str(Path(seqtune.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--pipelines", "tune"],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < limit, "nothing to disturb came about"
        time.sleep(0.02)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def assert_exact(studies: Path, stage: str, total: int) -> None:
    found = states(studies, stage)
    assert found.count(COMPLETE) + found.count(PRUNED) == total, found
    assert RUNNING not in found
    assert "WAITING" not in found


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["the parent", "everyone"])
def test_killed_in_mid_trial_and_run_again_the_total_is_exact(
    project: Path, kedro: Kedro, searched: Path, whom: str
) -> None:
    process = start(project)
    wait_until(
        lambda: (
            states(searched, "medium").count(COMPLETE) >= 1
            and RUNNING in states(searched, "medium")
        ),
        process,
    )
    finished = states(searched, "medium").count(COMPLETE)
    if whom == "everyone":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    output = succeed(kedro, "--pipelines", "tune")
    assert "died with their process" in output or "run again" in output
    assert_exact(searched, "medium", 4)
    assert states(searched, "medium").count(COMPLETE) >= finished
    assert FAIL in states(searched, "medium")
    assert "nothing to do" in succeed(kedro, "--pipelines", "tune", "--tags", "medium")


@pytest.mark.slow
def test_ctrl_c_ends_all_workers_and_the_next_run_goes_on(
    project: Path, kedro: Kedro, searched: Path
) -> None:
    process = start(project)
    wait_until(lambda: RUNNING in states(searched, "medium"), process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    limit = time.monotonic() + 10
    while is_alive(process.pid):
        assert time.monotonic() < limit, "a worker went on after Ctrl-C"
        time.sleep(0.1)
    assert RUNNING not in states(searched, "medium")
    succeed(kedro, "--pipelines", "tune")
    assert_exact(searched, "medium", 4)


@pytest.mark.slow
def test_other_data_are_another_study_and_the_old_one_stays(
    project: Path, kedro: Kedro, searched: Path
) -> None:
    before = states(searched, "quick")
    write_data(project, items=15)
    succeed(kedro, "--pipelines", "ingest,split")
    output = succeed(kedro, "--pipelines", "tune", "--to-nodes", "recommend.tune.quick.tune_quick")
    assert "which stays as it is" in output
    assert "environment.data" in output
    assert states(searched, "quick").count(COMPLETE) == 2 * before.count(COMPLETE)


@pytest.mark.slow
def test_a_study_file_that_is_none_is_named_with_its_backup(
    project: Path, kedro: Kedro, searched: Path
) -> None:
    succeed(kedro, "--pipelines", "tune", "--to-nodes", "recommend.tune.quick.tune_quick")
    searched.write_text("not a database, a note to myself")
    result = kedro("run", "--pipelines", "tune")
    message = " ".join(result.stderr.split())
    assert result.returncode == 1
    assert "Traceback" not in message
    assert "studies.db" in message
    assert "backups" in message
    assert searched.read_text() == "not a database, a note to myself"
