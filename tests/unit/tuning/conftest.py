"""Storages to test against: a SQLite file always, servers of our own where they are installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toy_servers import MariaDB, PostgreSQL, Server

from seqtune.tuning.studies.storage_url import StorageUrl


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server on loopback, for this session."""
    yield from _running(PostgreSQL())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server on loopback, for this session."""
    yield from _running(MariaDB())


def _running(server: Server) -> Iterator[Server]:
    try:
        missing = server.missing()
        if missing:
            pytest.skip(missing)
        server.create()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def sqlite(tmp_path: Path) -> StorageUrl:
    return StorageUrl(f"sqlite:///{tmp_path / 'studies.db'}", grace_seconds=1)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def ref(request: pytest.FixtureRequest, tmp_path: Path) -> StorageUrl:
    """An empty storage of each kind."""
    if request.param == "sqlite":
        return StorageUrl(f"sqlite:///{tmp_path / 'studies.db'}", grace_seconds=1)
    server: Server = request.getfixturevalue(request.param)
    return StorageUrl(server.new_database(), grace_seconds=1)
