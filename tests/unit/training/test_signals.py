"""SIGINT and SIGTERM, sent to a process that trains."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from toy_run import finish, num_steps, start, wait_for_steps

from seqtune.training.signals import StopRequest

OPTIONS = {"epochs": 3, "toy": {"seconds_per_batch": 0.05}}
BATCHES = 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_with_a_state_after_the_batch_under_way(
    tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = start(folder, OPTIONS)
    wait_for_steps(folder, 7, process)  # the second batch of the second epoch has begun
    os.kill(process.pid or 0, number)
    process.join(60)
    assert process.exitcode == 128 + number
    done = num_steps(folder)
    error = (tmp_path / "error.txt").read_text()
    assert error == (
        f"Interrupted: stopped by signal {number.value} after {done} batches; the state is in "
        f"{folder}. The same command resumes from there"
    )
    assert list(folder.glob(f"state-{done:010d}-*.ckpt"))

    where = f"epoch {1 + done // BATCHES}, batch {1 + done % BATCHES}"
    assert finish(folder, OPTIONS)["resumed_from"] == where
    assert num_steps(folder) == 3 * BATCHES, "no step was made twice"


def test_a_signal_between_optimiser_steps_waits_for_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = {**OPTIONS, "accumulate_grad_batches": 3, "toy": {"seconds_per_batch": 0.15}}
    process = start(folder, options)
    wait_for_steps(folder, 6, process)
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(60)
    assert num_steps(folder) == 8, "the third batch of the second epoch ends the accumulation"
    assert finish(folder, options)["resumed_from"] == "epoch 2, batch 4"


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder, {"toy": {"seconds_per_batch": 60.0}})
    wait_for_steps(folder, 1, process)
    os.kill(process.pid or 0, signal.SIGTERM)
    time.sleep(0.3)
    assert process.is_alive(), "the first one lets the batch end"
    for _ in range(10):  # on a busy machine two that come at once are heard as one
        os.kill(process.pid or 0, signal.SIGTERM)
        process.join(2)
        if not process.is_alive():
            break
    assert process.exitcode == -signal.SIGTERM


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked")
def test_signals_that_were_blocked_before_are_heard() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    request = StopRequest()
    try:
        with request.listening():
            os.kill(os.getpid(), signal.SIGTERM)
            assert request.signal_number == signal.SIGTERM
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    request = StopRequest()
    with request.listening():
        assert signal.getsignal(signal.SIGTERM) != before
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.signal_number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_handlers_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with StopRequest().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
