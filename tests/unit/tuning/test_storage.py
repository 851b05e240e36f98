from __future__ import annotations

import logging
import pickle
import socket
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import event, make_url, text
from toy_servers import PASSWORD, Server, free_port
from toy_studies import begin, finish, run_one, toy_plan

from seqtune.core.errors import ArtifactError, ConfigurationError, StorageError
from seqtune.tuning.studies.copies import backup, snapshot
from seqtune.tuning.studies.heartbeat import beating
from seqtune.tuning.studies.heartbeat_monitor import BEAT, HeartbeatMonitor
from seqtune.tuning.studies.records import count, read_trials
from seqtune.tuning.studies.storage import open_storage
from seqtune.tuning.studies.storage_errors import FIRST_PATIENCE_SECONDS, explained, with_retries
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.stored_study import StoredStudy
from seqtune.tuning.studies.study import load_study, open_study, study_name

PLAN = toy_plan()


# ---- URLs ---------------------------------------------------------------------------------------

SECRET = "hush"  # noqa: S105


def test_a_url_is_shown_nowhere():
    ref = StorageUrl(f"mysql://somebody:{SECRET}@db.example:3307/studies")
    assert SECRET not in repr(ref)
    assert ref.place == "the MySQL server at db.example:3307, database studies"
    assert pickle.loads(pickle.dumps(ref)) == ref


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        (f"postgresql://u:{SECRET}@h/d", "postgresql+psycopg"),
        (f"mysql://u:{SECRET}@h/d", "mysql+pymysql"),
        (f"mariadb://u:{SECRET}@h/d", "mysql+pymysql"),
        (f"postgresql+psycopg2://u:{SECRET}@h/d", "postgresql+psycopg2"),
    ],
)
def test_a_url_without_a_driver_gets_ours(url, driver):
    assert StorageUrl(url).parsed().drivername == driver


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (SECRET, "the URL of the study is invalid"),
        (f"oracle://u:{SECRET}@h/d", "cannot be kept in 'oracle'"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        (f"postgresql://u:{SECRET}@ush@host/d", "percent-encoded"),
    ],
)
def test_a_wrong_url_is_refused_without_being_repeated(url, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        open_storage(StorageUrl(url))
    assert "ush" not in str(caught.value).replace("such", "")


def test_a_missing_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'seqtune\[cluster\]'"):
        open_storage(StorageUrl(f"mysql://u:{SECRET}@127.0.0.1/d"))


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_is_named_without_its_password(scheme):
    pytest.importorskip({"postgresql": "psycopg", "mysql": "pymysql"}[scheme])
    ref = StorageUrl(f"{scheme}://u:{SECRET}@127.0.0.1:{free_port()}/d")
    with pytest.raises(StorageError, match=r"server at 127\.0\.0\.1:\d+, database d") as caught:
        open_storage(ref)
    assert SECRET not in str(caught.value)
    assert "credentials.yml" in str(caught.value)


@pytest.mark.parametrize("part", ["host", "port", "password", "database"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_what_is_wrong_in_a_url_is_said_within_seconds(request, kind: str, part: str):
    server: Server = request.getfixturevalue(kind)
    url = make_url(server.new_database())
    wrong = {"host": "no-such-host.invalid", "port": free_port(), "password": "guess-123"}
    url = url.set(**{part: wrong.get(part, "no_such_database")})
    ref = StorageUrl(url.render_as_string(hide_password=False))

    began = time.monotonic()
    with pytest.raises(StorageError, match="does not answer: ") as caught:
        open_study(ref, PLAN)

    assert time.monotonic() - began < 30
    assert f"at {url.host}:{url.port}, database {url.database}" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert "guess-123" not in str(caught.value)


@pytest.mark.slow  # it waits for a time limit
@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "proxy"])
def test_a_server_that_accepts_and_says_nothing_is_given_up(scheme: str):
    pytest.importorskip({"postgresql": "psycopg", "mysql": "pymysql", "proxy": "grpc"}[scheme])
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        ref = StorageUrl(f"{scheme}://u:{SECRET}@{address}/d")
        if scheme == "proxy":
            ref = StorageUrl("sqlite:///any.db", proxy=address).for_workers()
        began = time.monotonic()
        with pytest.raises(StorageError, match="does not answer"):
            with_retries(
                lambda: load_study(ref, "any"), ref, patience_seconds=FIRST_PATIENCE_SECONDS
            )
        assert time.monotonic() - began < 30


# ---- the same on every storage ------------------------------------------------------------------


def test_what_one_connection_writes_another_reads(ref: StorageUrl):
    study = open_study(ref, PLAN).study
    run_one(study, PLAN, 0.5)

    (trial,) = read_trials(load_study(ref, study.study_name))

    assert (trial.state, trial.score, trial.curve) == ("complete", 0.5, {1: 0.5, 2: 0.5})


def test_a_queued_trial_is_taken_once(ref: StorageUrl):
    study = open_study(ref, PLAN).study
    for number in range(12):
        study.enqueue_trial({"x": number / 100})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: _take_three(ref, study.study_name), range(4)))

    taken = [trial.params["x"] for trial in read_trials(study) if trial.state == "complete"]
    assert sorted(taken) == [number / 100 for number in range(12)]


def _take_three(ref: StorageUrl, name: str) -> None:
    study = load_study(ref, name)
    for _ in range(3):
        finish(study, begin(study, PLAN))


# our own filter for it is taken back by whichever thread is done first: in processes it holds
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_two_who_make_the_same_study_get_the_same_one(ref: StorageUrl):
    barrier = threading.Barrier(3)

    def make(_: int) -> str:
        barrier.wait()
        return open_study(ref, PLAN).study.study_name

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(make, range(3))) == {study_name(PLAN)}
    assert [frozen.study_name for frozen in open_storage(ref).get_all_studies()] == [
        study_name(PLAN)
    ]


def test_a_trial_without_a_heartbeat_falls_silent(ref: StorageUrl):
    study = open_study(ref, PLAN).study
    trial, other = begin(study, PLAN), begin(study, PLAN)
    beats = StorageUrl(ref.url, heartbeat_seconds=1)
    with beating(study, trial, ref=beats):
        with beating(study, other, ref=beats):
            pass
        assert study.heartbeats.silent(study.trials, grace_seconds=2) == set()
        time.sleep(2.5)
        assert study.heartbeats.silent(study.trials, grace_seconds=2) == {other.number}


@pytest.mark.parametrize(("offset", "silent"), [(-250.0, set()), (250.0, set()), (-400.0, {0})])
def test_clocks_of_two_machines_may_differ(sqlite: StorageUrl, offset: float, silent: set[int]):
    study = open_study(sqlite, PLAN).study
    begin(study, PLAN).set_user_attr(BEAT, time.time() + offset)
    assert HeartbeatMonitor().silent(study.trials, grace_seconds=60) == silent


def test_a_snapshot_holds_the_named_studies_whole(ref: StorageUrl, tmp_path: Path):
    first = open_study(ref, PLAN).study
    for value in (0.1, 0.9):
        run_one(first, PLAN, value)
    second = open_study(ref, toy_plan(stage="medium")).study
    out = snapshot(ref, [first.study_name], tmp_path / "kept" / "studies.db")

    assert [path.name for path in out.parent.iterdir()] == ["studies.db"]
    url = f"sqlite:///{out}"
    assert optuna.get_all_study_names(url) == [first.study_name]
    copy = optuna.load_study(study_name=first.study_name, storage=url)
    assert copy.trials == first.trials
    assert copy.user_attrs == first.user_attrs
    assert copy.best_value == 0.9
    assert second.study_name not in out.read_bytes().decode("latin-1")

    with pytest.raises(ArtifactError, match="not all of nothing are in"):
        snapshot(ref, ["nothing"], tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()


def test_a_large_study_is_copied_whole(sqlite: StorageUrl, tmp_path: Path):
    study = open_study(sqlite, PLAN).study
    run_one(study, PLAN)
    with sqlite3.connect(sqlite.file) as database:
        database.execute("""WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i+1 FROM n WHERE i<300)
            INSERT INTO trials (number, study_id, state) SELECT i, 1, 'COMPLETE' FROM n""")
        database.execute("""WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i+1 FROM n WHERE i<50)
            INSERT INTO trial_intermediate_values
            (trial_id, step, intermediate_value, intermediate_value_type)
            SELECT trial_id, i + 2, 0.5, 'FINITE' FROM trials, n""")
    database.close()

    out = snapshot(sqlite, [study.study_name], tmp_path / "out.db")
    copy = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{out}")
    assert len(copy.trials) == 301


# ---- connections --------------------------------------------------------------------------------


def test_a_worker_at_rest_holds_one_connection(postgresql: Server):
    ref = StorageUrl(postgresql.new_database(), heartbeat_seconds=1)
    study = open_study(ref, PLAN).study
    worker = load_study(ref, study.study_name)
    trial = begin(worker, PLAN)
    with beating(worker, trial, ref=ref):
        finish(worker, trial)
        time.sleep(1.5)
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    assert execute(study, query) == [2]  # the worker's, and that of who asks


def test_one_connection_too_many_is_said_and_waited_for(postgresql: Server):
    """One is held at rest, and a second for a moment while a storage is opened."""
    ref = StorageUrl(postgresql.new_database())
    study = open_study(ref, PLAN).study
    execute(study, f"CREATE ROLE few LOGIN CONNECTION LIMIT 2 PASSWORD '{PASSWORD}'")
    execute(study, "GRANT ALL ON ALL TABLES IN SCHEMA public TO few")
    execute(study, "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO few")
    limited = make_url(ref.url).set(username="few").render_as_string(hide_password=False)
    few = StorageUrl(limited)
    first = load_study(few, study.study_name)

    with pytest.raises(StorageError, match=r"too many connections .* room for one more"):
        load_study(few, study.study_name)

    threading.Timer(1.0, first.storage.engine.dispose).start()
    second = with_retries(lambda: load_study(few, study.study_name), few)
    assert second.study_name == study.study_name


def execute(study: StoredStudy, statement: str) -> list[Any]:
    with study.storage.engine.begin() as connection:
        result = connection.execute(text(statement))
        return list(result.scalars()) if result.returns_rows else []


# ---- a server that goes away --------------------------------------------------------------------


def test_a_search_goes_on_when_its_server_is_back(postgresql: Server, caplog):
    ref = StorageUrl(postgresql.new_database())
    study = open_study(ref, PLAN).study
    run_one(study, PLAN, 0.1)
    postgresql.stop()
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING):
        later = pool.submit(_start_after, postgresql, 1.5)
        trial = with_retries(study.ask, ref)
        later.result()

    assert trial.number == 1
    assert count(study).complete == 1
    assert count(load_study(ref, study.study_name)).running == 1
    waits = [record for record in caplog.records if "Waiting up to 300 s" in record.message]
    assert len(waits) == 1
    assert PASSWORD not in caplog.text


def _start_after(server: Server, seconds: float) -> None:
    time.sleep(seconds)
    server.start()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_connection_lost_between_two_queries_is_a_server_away(request, kind: str):
    """Optuna tries another query on the same connection, and another error comes of that."""
    server: Server = request.getfixturevalue(kind)
    ref = StorageUrl(server.new_database())
    other, study = open_study(ref, PLAN).study, open_study(ref, PLAN).study
    run_one(study, PLAN)
    cut: list[bool] = []

    def on_query(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM trial_params" in statement and not cut:
            cut.append(True)
            execute(other, CUT[kind].format(own(connection, kind)))

    event.listen(study.storage.engine, "before_cursor_execute", on_query)
    with pytest.raises(StorageError, match="does not answer"), explained(ref):
        study.get_trials()
    cut.clear()
    assert len(with_retries(study.get_trials, ref)) == 1


CUT = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL {}"}


def own(connection: Any, kind: str) -> int:
    driver = connection.connection.dbapi_connection
    return int(driver.info.backend_pid if kind == "postgresql" else driver.thread_id())


def test_patience_with_a_server_ends():
    pytest.importorskip("psycopg")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: refused
        ref = StorageUrl(f"postgresql://u:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/d")
        began = time.monotonic()
        with pytest.raises(StorageError, match="does not answer"):
            with_retries(lambda: open_storage(ref), ref, patience_seconds=1.0)
        assert time.monotonic() - began < 10


def test_an_error_of_another_kind_is_not_tried_again(sqlite: StorageUrl):
    calls = []

    def action() -> None:
        calls.append(1)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        with_retries(action, sqlite)
    assert len(calls) == 1


# ---- backups ------------------------------------------------------------------------------------


def test_a_backup_is_a_study_file_from_before(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    run_one(study, PLAN, 0.1)
    copy = backup(sqlite, keep=5)
    run_one(study, PLAN, 0.2)

    assert copy is not None
    assert copy.parent == sqlite.file.parent / "backups"
    old = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{copy}")
    assert [trial.value for trial in old.trials] == [0.1]


def test_what_has_not_changed_is_not_copied_again(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    run_one(study, PLAN)
    assert backup(sqlite, keep=5) is not None
    assert backup(sqlite, keep=5) is None
    read_trials(open_study(sqlite, PLAN).study)  # taken up and found complete
    assert backup(sqlite, keep=5) is None
    run_one(study, PLAN)
    assert backup(sqlite, keep=5) is not None


def test_only_the_newest_backups_stay(sqlite: StorageUrl):
    study = open_study(sqlite, PLAN).study
    made = []
    for _ in range(4):
        run_one(study, PLAN)
        made.append(backup(sqlite, keep=2))
    assert sorted((sqlite.file.parent / "backups").iterdir()) == made[-2:]


def test_there_is_nothing_to_back_up_without_a_file(sqlite: StorageUrl):
    assert backup(sqlite, keep=5) is None
    assert backup(StorageUrl(f"postgresql://u:{SECRET}@h/d"), keep=5) is None
    open_study(sqlite, PLAN)
    assert backup(sqlite, keep=0) is None
