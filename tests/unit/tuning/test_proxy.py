"""Workers that ask a proxy, and the proxy as a command."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import optuna
import pytest
from pydantic import ValidationError
from toy_servers import PASSWORD, Server, free_port
from toy_studies import begin, finish, quadratic, toy_plan

from seqtune.core.errors import ArtifactError, ConfigurationError, StorageError
from seqtune.core.execution import StudyMonitor, Work, WorkerInfo
from seqtune.tuning.config import StorageConfig
from seqtune.tuning.search.stage import run_study
from seqtune.tuning.studies.heartbeat import beating
from seqtune.tuning.studies.records import count, read_trials
from seqtune.tuning.studies.storage import quiet_optuna
from seqtune.tuning.studies.storage_errors import with_retries
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.stored_study import StoredStudy
from seqtune.tuning.studies.study import load_study, open_study, recover, study_name

pytest.importorskip("grpc", reason="gRPC is not installed (pip install 'seqtune[cluster]')")
from seqtune.tuning.studies import proxy as proxy_module

PLAN = toy_plan()
# our own filter for it is taken back by whichever thread is done first: in processes it holds
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def proxied(ref: StorageUrl) -> Iterator[StorageUrl]:
    """An empty storage of each kind, with a proxy before it."""
    port = free_port()
    with command(ref.url, "--bind", f"127.0.0.1:{port}", "--connections", "2"), quiet_optuna():
        optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port).wait_server_ready(60)
        yield replace(ref, proxy=f"127.0.0.1:{port}")


@pytest.fixture
def on_file(sqlite: StorageUrl) -> StorageUrl:
    """A file whose proxy does not listen yet."""
    return replace(sqlite, proxy=f"127.0.0.1:{free_port()}")


def in_threads(work: Work, monitor: StudyMonitor, *, num_workers: int, **_: object) -> None:
    with ThreadPoolExecutor(num_workers) as pool:
        list(
            pool.map(work, [WorkerInfo(one, num_workers, f"w{one}") for one in range(num_workers)])
        )
    monitor.look()


# ---- what is the same as without it -------------------------------------------------------------


def test_workers_reach_the_total_and_the_parent_sees_all_of_it(proxied: StorageUrl) -> None:
    plan = toy_plan(total=8, queue=({"x": 0.25},))
    result = run_study(
        plan, quadratic, ref=proxied, executor=in_threads, num_workers=2, progress=False
    )
    assert len({trial.params["x"] for trial in result.trials if trial.is_finished}) == 8
    assert result.trials[0].params["x"] == 0.25
    assert result.trials[0].curve.keys() == {1, 2, 3}
    assert result.trials[0].metrics.keys() == {"val_score"}


def test_workers_are_not_told_the_password() -> None:
    ref = StorageUrl("postgresql://u:hunter2@db.example/d", proxy="gateway:13000")
    told = pickle.dumps(ref.for_workers())
    assert b"hunter2" not in told
    assert b"db.example" not in told
    assert ref.for_workers().place == "the proxy of the studies at gateway:13000"


def test_a_trial_of_a_worker_behind_it_falls_silent_when_that_dies(proxied: StorageUrl) -> None:
    parent = open_study(proxied, PLAN).study
    beats = replace(proxied.for_workers(), heartbeat_seconds=1)
    study = load_study(beats, parent.study_name)
    trial, other = begin(study, PLAN), begin(study, PLAN)
    with beating(study, trial, ref=beats):
        with beating(study, other, ref=beats):
            pass
        assert parent.heartbeats.silent(parent.trials, grace_seconds=3) == set()
        threading.Event().wait(4.5)
        assert parent.heartbeats.silent(parent.trials, grace_seconds=3) == {other.number}


def test_an_ended_trial_is_not_ended_again_by_its_worker(proxied: StorageUrl) -> None:
    parent = open_study(proxied, PLAN).study
    study = load_study(proxied.for_workers(), parent.study_name)
    trial = begin(study, PLAN)
    parent.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        trial.report(0.5, 1)


def test_an_unknown_study_is_named_with_those_that_exist(proxied: StorageUrl) -> None:
    open_study(proxied, PLAN)
    with pytest.raises(ArtifactError, match=rf"no study 'gone'; it has: {study_name(PLAN)}"):
        load_study(proxied.for_workers(), "gone")


# ---- away, refused, restarted -------------------------------------------------------------------


def test_a_proxy_that_nobody_started_is_named_with_the_next_step(on_file: StorageUrl) -> None:
    workers = on_file.for_workers()
    with pytest.raises(StorageError, match=r"at 127\.0\.0\.1:\d+ does not answer") as caught:
        with_retries(lambda: load_study(workers, "any"), workers, patience_seconds=1.0)
    assert "python -m seqtune.tuning.studies.proxy" in str(caught.value)
    assert "tuning.storage.proxy" in str(caught.value)


def test_a_search_whose_proxy_never_answers_ends_with_that(
    on_file: StorageUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqtune.tuning.search.loop.FIRST_PATIENCE_SECONDS", 1.0)
    with pytest.raises(StorageError, match="does not answer"):
        run_study(PLAN, quadratic, ref=on_file, executor=in_threads, num_workers=1, progress=False)


def test_another_service_than_a_proxy_is_told_apart(on_file: StorageUrl) -> None:
    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    server.add_insecure_port(on_file.proxy)
    server.start()
    workers = on_file.for_workers()
    try:
        with pytest.raises(StorageError, match=r"is not an Optuna proxy .*tuning.storage.proxy"):
            with_retries(lambda: load_study(workers, "any"), workers)  # and is not waited for
    finally:
        server.stop(None).wait()


def test_a_trial_goes_on_over_a_restart_of_the_proxy(on_file: StorageUrl, caplog) -> None:
    study_name = open_study(on_file, PLAN).study.study_name
    workers = on_file.for_workers()
    with command(on_file.url, "--bind", on_file.proxy):
        study = reached(workers, study_name)
        trial = study.ask()
    again = command(on_file.url, "--bind", on_file.proxy)
    with ExitStack() as restarted, caplog.at_level(logging.WARNING):
        later = threading.Timer(1.5, lambda: restarted.enter_context(again))
        later.start()
        with_retries(lambda: PLAN.space.suggest(trial), workers)
        finish(study, trial)
        later.join()
    assert [one.state for one in read_trials(load_study(on_file, study_name))] == ["complete"]
    assert "Waiting up to 300 s" in caplog.text


def test_a_database_away_behind_it_is_waited_for(postgresql: Server, caplog) -> None:
    address = f"127.0.0.1:{free_port()}"
    ref = StorageUrl(postgresql.new_database(), proxy=address)
    study_name = open_study(ref, PLAN).study.study_name
    workers = ref.for_workers()
    with command(ref.url, "--bind", address):
        study = reached(workers, study_name)
        postgresql.stop()
        later = threading.Timer(1.5, postgresql.start)
        later.start()
        with caplog.at_level(logging.WARNING):
            with_retries(study.ask, workers)
        later.join()
    assert count(load_study(ref, study_name)).running >= 1
    assert "reports: Exception calling application" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_trial_without_a_sign_of_life_is_recovered_by_the_parent(proxied: StorageUrl) -> None:
    parent = open_study(proxied, PLAN).study
    study = load_study(proxied.for_workers(), parent.study_name)
    begin(study, PLAN, {"host": "gone", "boot": "x", "pid": 1, "started": "1", "name": ""})
    with beating(study, study.trials[0], ref=proxied.for_workers()):
        pass
    assert recover(parent, max_retries=3, grace_seconds=1) == 0
    threading.Event().wait(1.1)
    assert recover(parent, max_retries=3, grace_seconds=1) == 1


# ---- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["13000", "grpc://h:1", "h", "u@h:1", "h:", "h:123456"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(ValidationError, match="proxy"):
        StorageConfig(proxy=address)


def test_the_parent_needs_the_database_itself() -> None:
    with pytest.raises(ConfigurationError, match="studies cannot be kept in 'grpc'"):
        open_study(StorageUrl("grpc://127.0.0.1:13000"), PLAN)


def test_without_grpc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "seqtune.tuning.studies.proxy_client")
    monkeypatch.setitem(sys.modules, "grpc", None)
    workers = StorageUrl("sqlite:///any.db", proxy="127.0.0.1:1").for_workers()
    with pytest.raises(ConfigurationError, match=r"pip install 'seqtune\[cluster\]'"):
        with_retries(lambda: load_study(workers, "any"), workers)


# ---- the command --------------------------------------------------------------------------------


def reached(ref: StorageUrl, name: str) -> StoredStudy:
    return with_retries(lambda: load_study(ref, name), ref, patience_seconds=60)


@contextmanager
def command(url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "SEQTUNE_STUDY_URL": url}
    words = (sys.executable, "-m", "seqtune.tuning.studies.proxy", *arguments)
    with subprocess.Popen(
        words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_serves_until_it_is_asked_to_end(on_file: StorageUrl) -> None:
    name = open_study(on_file, PLAN).study.study_name
    with command(on_file.url, "--bind", on_file.proxy) as process:
        workers = on_file.for_workers()
        study = reached(workers, name)
        finish(study, begin(study, PLAN))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"listens at {on_file.proxy}" in said
    assert "no authentication" not in said
    assert count(load_study(on_file, name)).complete == 1


def test_listening_to_the_network_is_warned_of(sqlite: StorageUrl) -> None:
    with command(sqlite.url, "--bind", f"0.0.0.0:{free_port()}") as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "WARNING" in line)
    assert "there is no authentication" in line


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no database is given: set SEQTUNE_STUDY_URL"),
        ("oracle://u:hunter2@h/d", "cannot be kept in 'oracle'"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", "does not answer"),
    ],
)
def test_the_command_says_what_is_wrong(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEQTUNE_STUDY_URL", url)
    assert proxy_module.main([]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "hunter2" not in said


def test_a_port_that_is_taken_is_named(
    sqlite: StorageUrl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEQTUNE_STUDY_URL", sqlite.url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert proxy_module.main(["--bind", address]) == 1
    assert f"cannot listen at {address}" in capsys.readouterr().err
