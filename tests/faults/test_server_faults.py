"""A database, or the proxy before it, that goes away under several workers and the monitor."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "tuning"))

from toy_searches import Toy, run, toy_plan
from toy_servers import MariaDB, PostgreSQL, Server, free_port

from seqtune.core.trials import Trial
from seqtune.tuning.studies.storage_url import StorageUrl

# one connection, one restart: tests/unit/tuning/test_{storage,proxy}
pytestmark = [pytest.mark.slow, pytest.mark.services]

TOTAL, NUM_WORKERS = 12, 3
SECONDS = 120.0


@pytest.fixture(params=[PostgreSQL, MariaDB])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server: Server = request.param()
    try:
        if missing := server.missing():
            pytest.skip(missing)
        server.create()
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def disturbed(toy: Toy, *acts: Callable[[], object]) -> Iterator[None]:
    """Do this, one after another and a second apart, once a third of the trials has begun."""

    def disturb() -> None:
        deadline = time.monotonic() + SECONDS
        while len(toy.started()) < TOTAL // 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        for act in acts:
            act()
            time.sleep(1.0)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def assert_exact(trials: tuple[Trial, ...], toy: Toy) -> None:
    done = [trial for trial in trials if trial.is_finished]
    assert len(done) == TOTAL
    assert len({trial.params["x"] for trial in done}) == TOTAL
    assert {trial.state for trial in trials} <= {"complete", "lost"}
    assert all(trial.curve.keys() == {1, 2, 3} for trial in done)
    assert len(toy.pids()) == NUM_WORKERS  # nobody died of it


def test_a_database_that_is_restarted_costs_no_trial(server: Server, tmp_path: Path) -> None:
    toy = Toy(tmp_path, seconds=0.4)
    ref = StorageUrl(server.new_database(), heartbeat_seconds=1, grace_seconds=30)
    with disturbed(toy, server.stop, server.start, server.stop, server.start):
        result = run(tmp_path, toy_plan(TOTAL), toy, num_workers=NUM_WORKERS, ref=ref)
    assert_exact(result.trials, toy)


class ProxyProcess:
    def __init__(self, url: str) -> None:
        self.address, self._url = f"127.0.0.1:{free_port()}", url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = (sys.executable, "-m", "seqtune.tuning.studies.proxy", "--bind", self.address)
        environment = {**os.environ, "SEQTUNE_STUDY_URL": self._url}
        self._process = subprocess.Popen(command, env=environment)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def test_a_proxy_that_is_killed_and_started_again_costs_no_trial(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="gRPC is not installed (pip install 'seqtune[cluster]')")
    proxy = ProxyProcess(f"sqlite:///{tmp_path}/studies.db")
    ref = StorageUrl(
        f"sqlite:///{tmp_path}/studies.db",
        heartbeat_seconds=1,
        grace_seconds=30,
        proxy=proxy.address,
    )
    toy = Toy(tmp_path, seconds=0.4)
    proxy.start()
    try:
        with disturbed(toy, proxy.kill, proxy.start):
            result = run(tmp_path, toy_plan(TOTAL), toy, num_workers=NUM_WORKERS, ref=ref)
    finally:
        proxy.kill()
    assert_exact(result.trials, toy)


def test_a_worker_killed_while_its_proxy_and_database_are_away_is_replaced(
    server: Server, tmp_path: Path
) -> None:
    pytest.importorskip("grpc", reason="gRPC is not installed (pip install 'seqtune[cluster]')")
    url = server.new_database()
    proxy = ProxyProcess(url)
    ref = StorageUrl(url, heartbeat_seconds=1, grace_seconds=30, proxy=proxy.address)
    toy = Toy(tmp_path, {5: "die"}, seconds=0.4)
    proxy.start()
    try:
        with disturbed(toy, server.stop, proxy.kill, server.start, proxy.start):
            result = run(tmp_path, toy_plan(TOTAL), toy, num_workers=NUM_WORKERS, ref=ref)
    finally:
        proxy.kill()
    done = [trial for trial in result.trials if trial.is_finished]
    assert len(done) == TOTAL
    assert len({trial.params["x"] for trial in done}) == TOTAL
