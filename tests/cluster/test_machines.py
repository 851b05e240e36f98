"""Nodes on several machines: each a host of its own name, in a namespace of this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqtune.workers.cluster.connection import connect
from toy_cluster import ToyCluster

UNSHARE = shutil.which("unshare")
SECONDS = 120.0


@pytest.fixture
def other_machine(cluster: ToyCluster, tmp_path: Path) -> Iterator[str]:
    """A node of the cluster on a host of another name."""
    if UNSHARE is None or os.geteuid() != 0:
        pytest.skip("only root can give a process another host name (unshare)")
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={cluster.address}"]
    command = f"hostname elsewhere && exec {' '.join(start)} --num-cpus=1 --block"
    with (tmp_path / "node.log").open("w") as log:
        node = subprocess.Popen(
            [UNSHARE, "--uts", "sh", "-c", command],
            stdout=log,
            stderr=log,
            env=cluster.environment(),
            start_new_session=True,
        )
    try:
        wait_for(lambda: "elsewhere" in hosts(cluster), tmp_path / "node.log")
        yield "elsewhere"
    finally:
        os.killpg(node.pid, 9)
        node.wait()
        wait_for(lambda: "elsewhere" not in hosts(cluster), tmp_path / "node.log")


def hosts(cluster: ToyCluster) -> set[str]:
    from seqtune.workers.cluster.probe import nodes_alive

    with connect(cluster.config()):
        return {node["NodeManagerHostname"] for node in nodes_alive()}


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


@pytest.mark.slow
def test_one_file_of_studies_does_not_serve_two_machines(
    project: Path, kedro: Callable[..., Any], cluster: ToyCluster, other_machine: str
) -> None:
    done = kedro("run", "--env", "sample", "--pipelines", "sample,ingest,split")
    assert done.returncode == 0, done.stderr
    on_ray = f"cluster.engine=ray,cluster.address={cluster.address},cluster.wait_seconds=100"
    refused = kedro("run", "--env", "sample", "--pipelines", "tune", "--params", on_ray)
    assert refused.returncode == 1
    assert "one SQLite file cannot serve them" in " ".join(refused.stderr.split())
