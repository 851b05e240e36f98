"""Worker processes: real ones, that die, hang, fail and are stopped."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import toy_works
from toy_works import Toy, Watcher, is_alive, wait_until

from seqtune.core.errors import ConfigurationError, SeqtuneError, TuningError
from seqtune.core.execution import Executor, MonitorDecision, Process, stop_signals
from seqtune.workers.local import run_local


def traces(folder: Path, what: str) -> list[int]:
    """Process ids of the workers that have left this trace."""
    return [int(path.name.rsplit("-", 1)[1]) for path in sorted(folder.glob(f"{what}-*"))]


def here(pid: int) -> Process:
    return Process(pid, socket.gethostname())


def test_every_place_is_worked_in_once_and_the_call_returns(tmp_path: Path) -> None:
    executor: Executor = run_local
    executor(Toy(tmp_path, toy_works.nothing), Watcher(), num_workers=2)
    names = [path.name.split("-")[1] for path in sorted(tmp_path.glob("done-*"))]
    assert names == ["0", "1"]
    assert os.getpid() not in traces(tmp_path, "done")


def test_a_killed_worker_is_reported_and_replaced_with_the_same_index(tmp_path: Path) -> None:
    monitor = Watcher()
    run_local(Toy(tmp_path, toy_works.die_once), monitor, num_workers=1)
    (process, exit_code, reason) = monitor.losses[0]
    assert (len(monitor.losses), exit_code) == (1, -9)
    assert reason == (
        "its process was ended by signal 9 (Killed); the system does so when memory runs out"
    )
    assert process.pid in traces(tmp_path, "started-0")
    assert len(traces(tmp_path, "done-0")) == 1


def test_workers_that_die_at_once_end_the_search_with_an_explanation(tmp_path: Path) -> None:
    monitor = Watcher()
    with pytest.raises(TuningError, match=r"4 workers in a row died within 5 seconds") as raised:
        run_local(Toy(tmp_path, toy_works.die), monitor, num_workers=1)
    assert "ended with exit code 7 and reported nothing" in str(raised.value)
    assert [loss[1] for loss in monitor.losses] == [7, 7, 7, 7]


def test_the_monitor_has_a_worker_killed_and_replaced(tmp_path: Path) -> None:
    def decide() -> MonitorDecision:
        started = traces(tmp_path, "started")
        return MonitorDecision(
            kill={here(started[0]): "took too long"} if len(started) == 1 else {}
        )

    monitor = Watcher(decide)
    run_local(Toy(tmp_path, toy_works.hang_once), monitor, num_workers=1)
    assert [loss[2] for loss in monitor.losses] == ["took too long"]
    assert len(traces(tmp_path, "done")) == 1


def test_the_monitor_can_end_all_in_good_order(tmp_path: Path) -> None:
    monitor = Watcher(lambda: MonitorDecision(stop="enough" if traces(tmp_path, "started") else ""))
    run_local(Toy(tmp_path, toy_works.wait_for_ever), monitor, num_workers=1)
    assert len(traces(tmp_path, "interrupted")) == 1
    assert monitor.losses == []


def test_a_worker_that_will_not_end_is_killed_after_the_grace(tmp_path: Path) -> None:
    monitor = Watcher(
        lambda: MonitorDecision(stop="now" if (tmp_path / "ignoring").exists() else "")
    )
    work = Toy(tmp_path, toy_works.ignore_requests)
    run_local(work, monitor, num_workers=1, grace_seconds=0.3)
    assert not is_alive(traces(tmp_path, "started")[0])


def test_a_worker_asked_to_stop_by_somebody_else_is_replaced_and_not_lost(tmp_path: Path) -> None:
    asked: list[int] = []

    def decide() -> MonitorDecision:
        started = traces(tmp_path, "started")
        if started and not asked:  # once: the worker may be gone before the next one has started
            asked.append(started[0])
            os.kill(started[0], signal.SIGTERM)
        return MonitorDecision()

    monitor = Watcher(decide)
    run_local(Toy(tmp_path, toy_works.hang_once), monitor, num_workers=1)
    assert monitor.losses == []
    assert (len(traces(tmp_path, "interrupted")), len(traces(tmp_path, "done"))) == (1, 1)


def test_an_error_of_ours_ends_the_others_and_is_raised_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^lr=2 is too high\nepochs=0 is too few$"):
        run_local(Toy(tmp_path, toy_works.refuse), Watcher(), num_workers=2)
    assert len(traces(tmp_path, "interrupted-1")) == 1


def test_an_error_that_needs_more_than_a_message_keeps_its_message(tmp_path: Path) -> None:
    with pytest.raises(SeqtuneError, match=r"^too large$"):
        run_local(Toy(tmp_path, toy_works.refuse_with_details), Watcher(), num_workers=1)


def test_any_other_error_arrives_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"worker 0 failed\nTraceback") as raised:
        run_local(Toy(tmp_path, toy_works.fail), Watcher(), num_workers=1)
    assert "KeyError: 'missing'" in str(raised.value)
    assert 'toy_works.py", line' in str(raised.value)


def test_work_that_cannot_be_pickled_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)):
        run_local(lambda place: None, Watcher(), num_workers=1)


def test_log_lines_arrive_once_at_the_level_of_the_parent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="seqtune"):
        run_local(Toy(tmp_path, toy_works.talk), Watcher(), num_workers=1)
    assert caplog.messages == ["worker 0: at 50%", "worker 0: of others"]
    assert capfd.readouterr().err == ""


def test_workers_see_the_environment_of_now_and_one_gpu_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setenv("SEQTUNE_TOY", "given late")
    run_local(Toy(tmp_path, toy_works.tell_environment), Watcher(), num_workers=3)
    told = [(tmp_path / f"environment-{i}").read_text().split("|") for i in range(3)]
    assert [line[0] for line in told] == ["3", "5", "3"]
    assert {line[1] for line in told} == {"given late"}
    assert (tmp_path / f"started-1-{told[1][-1]}").read_text().endswith(f"/{told[1][-1]}/gpu 5")


def test_a_single_gpu_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    run_local(Toy(tmp_path, toy_works.tell_environment), Watcher(), num_workers=1)
    assert (tmp_path / "environment-0").read_text().startswith("|")
    (started,) = tmp_path.glob("started-*")
    assert started.read_text().endswith("/cpu")


# ---- the parent is signalled or killed: it runs in a process of its own


@contextmanager
def parent_of(folder: Path, act: str, *, grace_seconds: float = 20.0) -> Iterator[subprocess.Popen]:
    script = Path(toy_works.__file__)
    command = [sys.executable, script, folder, act, str(grace_seconds)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(traces(folder, "started")) == 2)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_modules_are_imported_once_for_all_workers(tmp_path: Path) -> None:
    with parent_of(tmp_path, "tell_modules") as parent:
        _, err = parent.communicate(timeout=20)
    assert (parent.returncode, err) == (0, "")
    assert [path.name for path in tmp_path.glob("preloaded-*")] == ["preloaded-True"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_asks_every_worker_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # not as under nohup
    with parent_of(tmp_path, "wait_for_ever") as parent:
        signal.signal(signal.SIGHUP, hang_up)
        os.killpg(parent.pid, number)
        out, err = parent.communicate(timeout=20)
    assert parent.returncode == 128 + number
    assert out.startswith(f"stopped by {number.name}; what was finished is kept")
    assert err == "", "nobody prints a traceback"
    assert len(traces(tmp_path, "interrupted")) == 2
    assert not any(map(is_alive, traces(tmp_path, "started")))


def test_a_closed_terminal_does_not_end_what_nohup_started() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert signal.SIGHUP in stop_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with parent_of(tmp_path, "ignore_requests", grace_seconds=600) as parent:
        wait_until((tmp_path / "ignoring").exists)
        parent.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert parent.poll() is None
        parent.send_signal(signal.SIGTERM)
        parent.communicate(timeout=20)
    assert parent.returncode == 128 + signal.SIGTERM
    assert not any(map(is_alive, traces(tmp_path, "started")))


@pytest.mark.parametrize("act", ["have_child", "fork_loader"])
def test_nothing_goes_on_when_the_parent_is_killed(tmp_path: Path, act: str) -> None:
    with parent_of(tmp_path, act) as parent:
        wait_until((tmp_path / "child").exists)
        grandchild = int((tmp_path / "child").read_text())
        assert all(map(is_alive, [*traces(tmp_path, "started"), grandchild]))
        parent.kill()
        everybody = [*traces(tmp_path, "started"), grandchild]
        wait_until(lambda: not any(map(is_alive, everybody)), seconds=2.0)


def test_what_a_killed_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    def decide() -> MonitorDecision:
        if (tmp_path / "child").exists() and not monitor.losses:
            return MonitorDecision(kill={here(traces(tmp_path, "started")[0]): "too long"})
        return MonitorDecision(stop="done" if monitor.losses else "")

    monitor = Watcher(decide)
    run_local(Toy(tmp_path, toy_works.have_child), monitor, num_workers=1)
    grandchild = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_alive(grandchild), seconds=2.0)
