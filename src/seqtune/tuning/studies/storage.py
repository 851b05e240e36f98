"""Open studies by URL: in one SQLite file, or on a PostgreSQL, MySQL or MariaDB server.

A URL may contain a password: no log, error or repr shows it.
"""

from __future__ import annotations

import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy import Engine, Pool, QueuePool, event
from sqlalchemy.exc import DBAPIError

from seqtune.core.errors import ArtifactError

from .storage_errors import LOCK_SECONDS, check_header, explained
from .storage_url import PROXY_SCHEME, StorageUrl

CONNECT_SECONDS = 10
ATTEMPTS = 3
VANISHED: dict[str, dict[str, int]] = {
    "postgresql+psycopg": {
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    },
    "mysql+pymysql": {"read_timeout": 25, "write_timeout": 25},
}
"""Timeouts that detect a server whose machine vanished after a minute instead of hours."""


def reach(ref: StorageUrl) -> BaseStorage:
    """Connect a worker to the studies: to the database, or to a proxy in front of it."""
    if not ref.is_proxied:
        return open_storage(ref)
    with explained(ref), quiet_optuna():
        from .proxy_client import open_proxied

        return open_proxied(ref.url.removeprefix(PROXY_SCHEME))


def open_storage(ref: StorageUrl, *, num_threads: int = 1) -> RDBStorage:
    """Connect to the studies and create missing tables.

    One connection for each of `num_threads`, and one more for a heartbeat during a transaction.
    """
    with explained(ref):
        if ref.file is not None:
            check_header(ref.file)
            ref.file.parent.mkdir(parents=True, exist_ok=True)
        storage = _connect(ref, num_threads)
    if ref.file is not None:
        _tame_sqlite(storage.engine)
    return storage


def _connect(ref: StorageUrl, num_threads: int) -> RDBStorage:
    began = time.monotonic()
    for attempt in range(ATTEMPTS):
        try:
            return _connect_once(ref, num_threads)
        except DBAPIError:
            # of two processes that create the tables at once, one fails and then finds them;
            # a long wait means a server that does not answer
            if attempt + 1 == ATTEMPTS or time.monotonic() - began > CONNECT_SECONDS / 2:
                raise
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError("unreachable")


def _connect_once(ref: StorageUrl, num_threads: int) -> RDBStorage:
    parsed = ref.parsed()
    url = parsed.render_as_string(hide_password=False)
    connect_args = {"connect_timeout": CONNECT_SECONDS, **VANISHED.get(parsed.drivername, {})}
    if ref.file is not None:
        connect_args = {"timeout": LOCK_SECONDS}
    pools: list[Pool] = []
    settings = {
        "connect_args": connect_args,
        "pool_size": num_threads,
        "max_overflow": 1,
        "pool_pre_ping": ref.file is None,
        "poolclass": _noted_in(pools),
    }
    try:
        with quiet_optuna():
            storage = RDBStorage(as_template(url), engine_kwargs=settings)
    except BaseException as error:
        _close(pools)
        if type(error) is RuntimeError:  # Optuna refuses the schema of another version
            raise ArtifactError(
                f"the studies in {ref.place} were written by another version of Optuna. Keep a "
                "copy, then run: optuna storage upgrade --storage <URL>"
            ) from error
        raise
    weakref.finalize(storage, _close, pools)
    return storage


def as_template(url: str) -> str:
    """Escape braces: `RDBStorage` formats the URL as a template."""
    return url.replace("{", "{{").replace("}", "}}")


def _noted_in(pools: list[Pool]) -> type[Pool]:
    """Make a pool class that can be closed without the engine: drivers warn of open connections."""

    class NotedPool(QueuePool):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            pools.append(self)

    NotedPool.__module__ = QueuePool.__module__  # names its logger
    return NotedPool


def _close(pools: list[Pool]) -> None:
    for pool in pools:
        pool.dispose()


def _tame_sqlite(engine: Engine) -> None:
    """Let several processes share the file: readers beside a writer, and writers in turn.

    Without BEGIN IMMEDIATE two workers read the same queued trial before either claims it.
    """

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # no transactions by the driver
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections from before the listeners


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's log lines below WARNING and its notes on experimental features."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
