from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from toy_studies import DEAD, ELSEWHERE, begin, quadratic, run_one, toy_plan

from seqtune.core.errors import InfeasibleError, Interrupted, TuningError
from seqtune.core.execution import Process, StudyMonitor, Work, WorkerInfo
from seqtune.core.trials import Params
from seqtune.tuning.config import GuardConfig
from seqtune.tuning.plan import ReportEpoch, StudyPlan
from seqtune.tuning.search.monitor import SearchMonitor, exit_text
from seqtune.tuning.search.progress import NoProgress
from seqtune.tuning.search.stage import run_study
from seqtune.tuning.studies.processes import worker_identity
from seqtune.tuning.studies.records import closing_reason, count, mark_lost, read_trials
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import open_study, study_name

PLAN = toy_plan()
HERE = Process(os.getpid(), socket.gethostname())


def in_process(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
    """An executor without processes: one place after another."""
    for index in range(num_workers):
        monitor.look()
        work(WorkerInfo(index, num_workers, f"place {index}"))
    monitor.look()


def refuse(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
    raise AssertionError("no worker was to be started")


def run(plan: StudyPlan, ref: StorageUrl, objective=quadratic, executor=in_process, **settings):
    settings = {"num_workers": 2, "progress": False, **settings}
    return run_study(plan, objective, ref=ref, executor=executor, **settings)


# ---- totals -------------------------------------------------------------------------------------


def test_a_study_runs_to_its_total(ref: StorageUrl):
    result = run(PLAN, ref)

    assert result.name == study_name(PLAN)
    assert [trial.state for trial in result.trials] == ["complete"] * 4
    assert (result.num_new, result.stopped) == (4, "")
    assert result.trials[0].curve.keys() == {1, 2, 3}
    assert result.seconds > 0


def test_a_complete_study_starts_no_worker(sqlite: StorageUrl, caplog):
    run(PLAN, sqlite)
    with caplog.at_level(logging.INFO):
        result = run(PLAN, sqlite, executor=refuse)
    assert (result.num_new, len(result.trials)) == (0, 4)
    assert f"study {study_name(PLAN)} is complete: 4 trials; nothing is run" in caplog.messages


def test_a_larger_total_runs_only_what_is_missing(sqlite: StorageUrl):
    run(PLAN, sqlite)
    workers = []

    def noting(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
        workers.append(num_workers)
        in_process(work, monitor, num_workers=num_workers)

    result = run(toy_plan(total=6), sqlite, executor=noting, num_workers=8)

    assert (result.num_new, len(result.trials)) == (2, 6)
    assert workers == [2]


def test_trials_of_an_earlier_kill_are_run_again(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    run_one(study, PLAN)
    dead = begin(study, PLAN, DEAD)

    result = run(PLAN, sqlite)

    assert "1 trials died with their process and are run again" in result.notes
    assert [trial.state for trial in result.trials].count("lost") == 1
    again = [trial for trial in result.trials if trial.origin == "retried"]
    assert [trial.params for trial in again] == [dead.params]
    assert sum(trial.is_finished for trial in result.trials) == 4


def test_the_queue_runs_first_and_once(sqlite: StorageUrl):
    queue = (
        {"x": 0.5, "training.lr": 0.1, "model.size": "small"},
        {"x": -0.5, "training.lr": 0.2, "model.size": "large"},
    )
    plan = toy_plan(queue=queue)
    result = run(plan, sqlite)
    assert [dict(trial.params) for trial in result.trials[:2]] == list(queue)
    assert [trial.origin for trial in result.trials] == ["queued"] * 2 + ["sampled"] * 2

    result = run(replace(plan, total=6), sqlite)
    assert [trial.origin for trial in result.trials].count("queued") == 2


def test_a_warm_start_is_said_and_does_not_count(sqlite: StorageUrl):
    first = run(toy_plan(stage="test", total=3), sqlite)
    result = run(toy_plan(warm_start=first.name), sqlite)
    assert f"learning from {first.name}: 3 trials" in result.notes
    assert len(result.trials) == result.num_new == 4


# ---- what stops it ------------------------------------------------------------------------------


def failing(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
    raise ValueError("loss is NaN")


def refused(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
    raise InfeasibleError("too large", constraint="memory", violation=2.0)


def test_failures_in_a_row_stop_it_with_an_explanation(sqlite: StorageUrl):
    with pytest.raises(TuningError, match="3 trials failed in a row") as caught:
        run(PLAN, sqlite, failing, num_workers=1)
    message = str(caught.value)
    assert "3 x" in message
    assert "loss is NaN" in message
    assert "0 of 4 trials are finished and kept" in message
    assert "tuning.guards.max_failures_in_a_row=3" in message

    assert run(PLAN, sqlite).num_new == 4  # mended, it goes on


def test_refused_trials_in_a_row_stop_it_too(sqlite: StorageUrl):
    with pytest.raises(TuningError, match="5 trials in a row could not be run here") as caught:
        run(PLAN, sqlite, refused, num_workers=1)
    assert "5 x too large" in str(caught.value)


def test_the_time_is_up_before_the_total(sqlite: StorageUrl):
    plan = toy_plan(timeout_seconds=2.0, total=50)
    result = run(plan, sqlite, sleeping, executor=looking_often, num_workers=1)

    assert result.stopped == "the time for this stage is up (2 s)"
    assert 0 < result.num_new < 50
    assert {trial.state for trial in result.trials} == {"complete"}

    shorter = toy_plan(timeout_seconds=0.1, total=50)  # than the trials alone have taken
    result = run(shorter, sqlite, executor=refuse, num_workers=1)
    assert result.num_new == 0
    assert result.stopped.startswith("the time for this stage is up")

    assert run(toy_plan(total=len(result.trials) + 1), sqlite).num_new == 1


def sleeping(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
    time.sleep(0.15)
    return quadratic(params, report, name=name)


def looking_often(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
    """The monitor looks during trials, as from another process."""
    objective = work.objective

    def looking(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
        monitor.look()
        return objective(params, report, name=name)

    replace(work, objective=looking)(WorkerInfo(0, num_workers, "here"))


def test_an_interruption_keeps_what_is_finished(sqlite: StorageUrl):
    def interrupted(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
        calls = []

        def objective(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
            calls.append(name)
            if len(calls) == 2:
                raise Interrupted("stopped", signal_number=15)
            return quadratic(params, report, name=name)

        replace(work, objective=objective)(WorkerInfo(0, 1, "here"))

    with pytest.raises(Interrupted):
        run(PLAN, sqlite, executor=interrupted)
    study = open_study(sqlite, PLAN).study
    assert [trial.state for trial in read_trials(study)] == ["complete", "lost", "waiting"]
    assert run(PLAN, sqlite).num_new == 3


def test_workers_that_propose_nothing_end_it(sqlite: StorageUrl):
    def idle(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
        return

    result = run(PLAN, sqlite, executor=idle)
    assert result.stopped.startswith("the workers ended at 0 of 4 finished trials")


# ---- the monitor --------------------------------------------------------------------------------


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def foreman_of(ref: StorageUrl, plan: StudyPlan, clock: Clock) -> SearchMonitor:
    study = open_study(ref, plan).study
    return SearchMonitor(study, plan, ref=ref, num_workers=1, view=NoProgress(), clock=clock)


def test_a_trial_that_hangs_is_killed_and_fails(sqlite: StorageUrl):
    clock = Clock()
    plan = toy_plan(guards=GuardConfig(trial_timeout_minutes=2.0))
    monitor = foreman_of(sqlite, plan, clock)
    study = open_study(sqlite, plan).study
    begin(study, plan)
    assert monitor.look().kill == {}

    clock.now += 121
    kill = monitor.look().kill
    reason = "took longer than 2 min 00 s (tuning.guards.trial_timeout_minutes=2)"
    assert kill == {HERE: reason}

    monitor.lost(HERE, -9, reason=reason)
    monitor.lost(HERE, -9, reason=reason)
    assert [(trial.state, trial.reason) for trial in read_trials(study)] == [("failed", reason)]


def test_the_trial_of_a_worker_that_died_waits_again_at_once(sqlite: StorageUrl):
    monitor = foreman_of(sqlite, PLAN, Clock())
    study = open_study(sqlite, PLAN).study
    mine, other = begin(study, PLAN, {**worker_identity(), "pid": 4242}), begin(study, PLAN)

    monitor.lost(HERE._replace(pid=4242), -9, reason="")

    lost, running, waiting = read_trials(study)
    assert (lost.number, lost.state, running.number) == (mine.number, "lost", other.number)
    assert "killed by SIGKILL" in lost.reason
    assert waiting.params == lost.params


def test_a_process_of_the_same_number_on_another_machine_keeps_its_trial(sqlite: StorageUrl):
    monitor = foreman_of(sqlite, PLAN, Clock())
    study = open_study(sqlite, PLAN).study
    begin(study, PLAN, ELSEWHERE), begin(study, PLAN)

    monitor.lost(Process(os.getpid(), "another-machine"), -9, reason="")

    assert [trial.state for trial in read_trials(study)] == ["lost", "running", "waiting"]


def test_a_trial_of_another_machine_that_hangs_is_killed_too(sqlite: StorageUrl):
    clock = Clock()
    plan = toy_plan(guards=GuardConfig(trial_timeout_minutes=2.0))
    monitor = foreman_of(sqlite, plan, clock)
    begin(open_study(sqlite, plan).study, plan, ELSEWHERE)
    monitor.look()
    clock.now += 121
    assert list(monitor.look().kill) == [Process(os.getpid(), "another-machine")]


def test_workers_that_die_one_after_another_stop_it(sqlite: StorageUrl):
    monitor = foreman_of(sqlite, PLAN, Clock())
    for _ in range(4):
        monitor.lost(HERE, 1, reason="")
    monitor.look()
    assert "4 workers died one after another" in str(monitor.failure)
    assert closing_reason(open_study(sqlite, PLAN).study)


def test_history_is_no_reason_to_stop(sqlite: StorageUrl):
    with pytest.raises(TuningError):
        run(PLAN, sqlite, failing, num_workers=1)
    monitor = foreman_of(sqlite, PLAN, Clock())
    monitor.look()
    assert monitor.failure is None


def test_trials_of_another_machine_are_recovered_while_workers_run(sqlite: StorageUrl):
    clock = Clock()
    monitor = foreman_of(sqlite, PLAN, clock)
    study = open_study(sqlite, PLAN).study
    begin(study, PLAN, DEAD)
    monitor.look()
    clock.now += 2.0
    monitor.look()
    assert count(study).waiting == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-9, "was killed by SIGKILL; a machine out of memory does that"),
        (-15, "was killed by SIGTERM"),
        (-99, "was killed by signal 99"),
        (3, "ended with exit code 3"),
    ],
)
def test_exit_codes_in_words(code, text):
    assert exit_text(code) == text


# ---- real processes -----------------------------------------------------------------------------


def spawned(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
    """The least that an executor with processes must do."""
    context = multiprocessing.get_context("spawn")
    places = [WorkerInfo(index, num_workers, f"worker {index}") for index in range(num_workers)]
    processes = {place: context.Process(target=work, args=(place,)) for place in places}
    for process in processes.values():
        process.start()
    deadline, num_left = time.monotonic() + 120, 3
    while processes and num_left and time.monotonic() < deadline:
        time.sleep(0.1)
        monitor.look()
        for place, process in list(processes.items()):
            if process.is_alive():
                continue
            process.join()
            del processes[place]
            if process.exitcode:
                num_left -= 1
                monitor.lost(HERE._replace(pid=process.pid), process.exitcode, reason="")
                processes[place] = context.Process(target=work, args=(place,))
                processes[place].start()
    for process in processes.values():
        process.kill()
        process.join()
    assert not processes


def dying_once(params: Params, report: ReportEpoch, *, name: str) -> Mapping[str, float]:
    """Its process is killed in the middle of the trial that was first number 1."""
    report(1, {"val_score": 0.0})
    marker = os.environ["SEQTUNE_TEST_MARKER"]
    if name.endswith("0001") and not os.path.exists(marker):  # noqa: PTH110
        with open(marker, "w"):  # noqa: PTH123
            os.kill(os.getpid(), 9)
    return quadratic(params, report, name=name)


def test_two_processes_reach_exactly_the_total_though_one_is_killed(
    sqlite: StorageUrl, tmp_path, monkeypatch
):
    monkeypatch.setenv("SEQTUNE_TEST_MARKER", str(tmp_path / "died"))
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))  # noqa: PTH120
    plan = toy_plan(total=12)

    result = run(plan, sqlite, dying_once, executor=spawned)

    states = [trial.state for trial in result.trials]
    assert states.count("complete") == 12
    assert result.num_new == 12
    assert (tmp_path / "died").exists()
    again = [trial for trial in result.trials if trial.origin == "retried"]
    assert [trial.state for trial in again] == ["complete"]
    assert again[0].params == result.trials[1].params
    assert not [state for state in states if state in ("running", "waiting", "failed")]


def test_a_lost_trial_beyond_the_total_is_left_waiting(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    trial = begin(study, PLAN)
    for _ in range(4):
        run_one(study, PLAN)
    mark_lost(study, trial, "killed", max_retries=3)

    result = run(PLAN, sqlite, executor=refuse)

    assert (result.num_new, result.stopped) == (0, "")
