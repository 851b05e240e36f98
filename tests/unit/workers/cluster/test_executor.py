"""Workers on the nodes of a real cluster: they die, their nodes die, others join."""

from __future__ import annotations

import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import toy_works
from toy_works import Toy, Watcher, is_alive, wait_until

from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import MonitorDecision, Process
from seqtune.workers.cluster.connection import connect
from seqtune.workers.cluster.executor import run_on_cluster
from seqtune.workers.cluster.file_shipping import ShippedFiles
from toy_cluster import ToyCluster


def run(
    cluster: ToyCluster,
    folder: Path,
    act: toy_works.Act,
    monitor: Watcher | None = None,
    *,
    num_workers: int = 1,
    most: int | None = None,
    copy: bool = False,
    **config: Any,
) -> Watcher:
    monitor = monitor or Watcher()
    shipped = ShippedFiles(reads=(), scratch=folder, copy=copy)
    with connect(cluster.config(**config), shipped=shipped) as connection:
        run_on_cluster(
            Toy(folder, act),
            monitor,
            num_workers=num_workers,
            connection=connection,
            shipped=shipped,
            most=most,
            grace_seconds=10.0,
        )
    return monitor


def traces(folder: Path, what: str) -> list[int]:
    return [int(path.name.rsplit("-", 1)[1]) for path in sorted(folder.glob(f"{what}-*"))]


def test_every_place_is_worked_in_once(cluster: ToyCluster, tmp_path: Path) -> None:
    run(cluster, tmp_path, toy_works.nothing, num_workers=3)
    names = [path.name.split("-")[1] for path in sorted(tmp_path.glob("done-*"))]
    assert names == ["0", "1", "2"]


@pytest.mark.slow
def test_a_killed_worker_is_reported_and_replaced(cluster: ToyCluster, tmp_path: Path) -> None:
    monitor = run(cluster, tmp_path, toy_works.die_once)
    (process, exit_code, reason) = monitor.losses[0]
    assert (len(monitor.losses), exit_code) == (1, -signal.SIGKILL)
    assert "ended by signal 9" in reason
    assert process == Process(traces(tmp_path, "started-0")[0], socket.gethostname()) or (
        process.pid in traces(tmp_path, "started-0")
    )
    assert len(traces(tmp_path, "done-0")) == 1


def test_errors_and_log_lines_are_those_of_one_machine(
    cluster: ToyCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="seqtune"):
        run(cluster, tmp_path, toy_works.talk)
    assert [line for line in caplog.messages if line.startswith("worker 0")] == [
        "worker 0: at 50%",
        "worker 0: of others",
    ]
    with pytest.raises(ConfigurationError, match=r"^lr=2 is too high\nepochs=0 is too few$"):
        run(cluster, tmp_path, toy_works.refuse, num_workers=2)
    assert len(traces(tmp_path, "interrupted-1")) == 1


@pytest.mark.slow
def test_the_monitor_ends_all_in_good_order(cluster: ToyCluster, tmp_path: Path) -> None:
    monitor = Watcher(lambda: MonitorDecision(stop="enough" if traces(tmp_path, "started") else ""))
    run(cluster, tmp_path, toy_works.wait_for_ever, monitor)
    assert len(traces(tmp_path, "interrupted")) == 1
    assert monitor.losses == []


@pytest.mark.slow
def test_a_lost_node_is_a_lost_worker_and_a_new_one_is_taken_into_use(
    cluster: ToyCluster, tmp_path: Path
) -> None:
    """Six places, all taken; a node dies with its two workers; they wait for the next node."""
    victim = cluster.nodes[0]
    events: list[str] = []

    def decide() -> MonitorDecision:
        started = traces(tmp_path, "started")
        if not events and len(started) == 6:
            cluster.kill_node(victim)
            events.append("killed")
        elif events == ["killed"] and len(monitor.losses) == 2:
            cluster.mend()
            events.append("mended")
        elif len(started) == 8:
            return MonitorDecision(stop="seen")
        return MonitorDecision()

    monitor = Watcher(decide)
    run(cluster, tmp_path, toy_works.wait_for_ever, monitor, num_workers=6)
    assert {exit_code for _, exit_code, _ in monitor.losses} == {0}
    lost = [process.pid for process, _, _ in monitor.losses]
    assert len(lost) == 2
    wait_until(lambda: not any(map(is_alive, traces(tmp_path, "started"))))


@pytest.mark.slow
def test_an_elastic_crew_grows_with_the_cluster(cluster: ToyCluster, tmp_path: Path) -> None:
    extra: list[Any] = []

    def decide() -> MonitorDecision:
        started = traces(tmp_path, "started")
        if not extra and len(started) == 6:
            extra.append(cluster.add_node())
        return MonitorDecision(stop="seen" if len(started) == 8 else "")

    run(cluster, tmp_path, toy_works.wait_for_ever, Watcher(decide), num_workers=6, most=8)
    cluster.kill_node(extra[0])
    assert len(traces(tmp_path, "interrupted")) == 8


@pytest.mark.slow
def test_copies_are_made_once_a_node_and_scratch_is_the_nodes_own(
    cluster: ToyCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one machine all nodes share the folder of copies."""
    reads = tmp_path / "split"
    (reads / "below").mkdir(parents=True)
    (reads / "below" / "items").write_bytes(os.urandom(1000))
    shipped = ShippedFiles(reads=(reads,), scratch=tmp_path / "scratch", copy=True)
    with connect(cluster.config(data="copy"), shipped=shipped):
        packed = shipped.pack({"file": reads / "below" / "items", "mine": shipped.scratch / "x"})
        there = packed.open()
        assert there["file"] != reads / "below" / "items"
        assert there["file"].read_bytes() == (reads / "below" / "items").read_bytes()
        assert there["mine"].parent.is_dir()
        before = there["file"].stat().st_mtime_ns
        assert shipped.pack(reads).open() == there["file"].parents[1]
        assert there["file"].stat().st_mtime_ns == before
