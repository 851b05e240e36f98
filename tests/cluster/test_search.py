"""The promise, on a cluster: a search through `kedro run --env cluster` whose node dies in
mid-trial and whose database is restarted in mid-stage."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_servers import PostgreSQL

from seqtune.tuning.studies.records import read_trials
from seqtune.tuning.studies.storage import open_storage
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.study import load_study
from toy_cluster import ToyCluster

pytestmark = pytest.mark.slow

TRIALS = {"test": 2, "quick": 12, "medium": 4}
PARAMETERS = ",".join(
    [
        *(f"tuning.stages.{stage}.trials={number}" for stage, number in TRIALS.items()),
        "tuning.stages.test.epochs=2,tuning.stages.quick.epochs=6,tuning.stages.medium.epochs=6",
        "tuning.rerank.top=2,tuning.rerank.seeds=2",
        "tuning.storage.heartbeat_seconds=2,tuning.storage.grace_seconds=20",
        "cluster.wait_seconds=100",
    ]
)
SECONDS = 900


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    if reason := server.missing():
        server.remove()
        pytest.skip(reason)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def data(project: Path, kedro: Callable[..., Any]) -> Path:
    """Sample data, split."""
    for name in ("parameters_tuning.yml", "parameters_recommend.yml"):  # small spaces and models
        shutil.copy(project / "conf" / "sample" / name, project / "conf" / "cluster" / name)
    done = kedro("run", "--env", "sample", "--pipelines", "sample,ingest,split")
    assert done.returncode == 0, done.stderr
    return project / "data" / "sample"


def test_a_node_killed_and_a_database_restarted(
    project: Path, data: Path, cluster: ToyCluster, server: PostgreSQL
) -> None:
    url = server.new_database()
    environment = {
        **os.environ,
        "RAY_ADDRESS": cluster.address,
        "SEQTUNE_STUDY_URL": url,
        "SEQTUNE_SHARED_DATA": str(data),
    }
    ref = StorageUrl(url)
    log = project / "run.log"
    with log.open("w") as file:
        run = subprocess.Popen(
            command("--pipelines", "tune"), cwd=project, env=environment, stdout=file, stderr=file
        )
    try:
        wait_for(run, lambda: finished(ref, "quick") >= 2, log)
        cluster.kill_node(cluster.nodes[0])
        wait_for(run, lambda: finished(ref, "quick") >= 5, log)
        server.stop()
        time.sleep(2)
        server.start()
        assert run.wait(SECONDS) == 0, log.read_text()
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
        cluster.mend()
    said = log.read_text()
    assert "hunter2" not in said
    for stage, total in TRIALS.items():
        assert finished(ref, stage) == total, said
    states = Counter(trial.state for trial in trials(ref, "quick"))
    assert states["running"] == states["waiting"] == states["failed"] == 0
    narrowed_on_cluster = narrowed(data)
    again = subprocess.run(
        [*command("--nodes", "recommend.tune.quick.narrow"), "--params", "cluster.engine=local"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert narrowed(data, number=2) == narrowed_on_cluster


def command(*arguments: str) -> list[str]:
    given = () if "--nodes" in arguments else ("--params", PARAMETERS)
    return [sys.executable, "-m", "kedro", "run", "--env", "cluster", *arguments, *given]


def trials(ref: StorageUrl, stage: str) -> list[Any]:
    names = [one.study_name for one in open_storage(ref).get_all_studies()]
    found = [name for name in names if name.startswith(f"recommend-{stage}-")]
    return [trial for name in found for trial in read_trials(load_study(ref, name))]


def finished(ref: StorageUrl, stage: str) -> int:
    return sum(trial.is_finished for trial in trials(ref, stage))


def wait_for(run: subprocess.Popen[bytes], condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert run.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


def narrowed(data: Path, *, number: int = 1) -> Mapping[str, Any]:
    """What the quick stage left of the space; there are so many versions of it by now."""
    versions = sorted((data / "06_models/recommend/narrowed_space.yml").glob("*/*.yml"))
    assert len(versions) == number
    space: Mapping[str, Any] = yaml.safe_load(versions[-1].read_text(encoding="utf-8"))
    return space
