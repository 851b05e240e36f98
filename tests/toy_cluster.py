"""A real Ray cluster of three nodes, all on this machine, for a file of tests.

Not for the session: its two dozen processes are not idle, and the other tests have the same cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

from seqtune.core.config import ClusterConfig

CPUS_PER_NODE = 2
PATIENCE = 100.0
"""Two cores run all of this beside other tests."""
TRIES = 3


class ToyCluster:
    """Nodes, known by numbers, that can be added and killed; a process of its own holds them.

    Ray forks to start a node. In a process that other tests have left full of threads it happens
    that the fork is aborted before it becomes one, and Ray waits for it in vain.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, its_end = context.Pipe()
        self._holder = context.Process(target=_hold_nodes, args=(its_end,))
        self._holder.start()
        its_end.close()
        self.address = str(self._ask(_Nodes.address))
        self.nodes = [self.add_node(), self.add_node()]

    def environment(self) -> dict[str, str]:
        """That of nodes, for one that is started elsewhere."""
        return {**os.environ, **_environment_of_nodes()}

    def config(self, **values: Any) -> ClusterConfig:
        ours = {"engine": "ray", "address": self.address, "wait_seconds": PATIENCE}
        return ClusterConfig.model_validate({**ours, **values})

    def add_node(self, **values: Any) -> int:
        return int(self._ask(_Nodes.add, **values))

    def kill_node(self, node: int) -> None:
        """As if its power had failed: Ray there, and all that it has started."""
        self._ask(_Nodes.kill, node=node)

    def mend(self) -> None:
        """Three nodes again."""
        alive = self._ask(_Nodes.alive)
        self.nodes = [node for node in self.nodes if node in alive]
        self.nodes += [self.add_node() for _ in range(2 - len(self.nodes))]

    def shut_down(self) -> None:
        self._pipe.close()
        self._holder.join(PATIENCE)

    def _ask(self, what: Callable[..., Any], **given: Any) -> Any:
        self._pipe.send((what.__name__, given))
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Nodes:
    """Those of a cluster, where they are held."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": CPUS_PER_NODE, "num_gpus": 0, "include_dashboard": False}
        self.cluster = _patiently(Cluster, initialize_head=True, head_node_args=head)
        self._nodes: list[Any] = []

    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, **values: Any) -> int:
        given = {"num_cpus": CPUS_PER_NODE, "num_gpus": 0, **values}
        self._nodes.append(_patiently(self.cluster.add_node, **given))
        return len(self._nodes) - 1

    def kill(self, node: int) -> None:
        victim = self._nodes[node]
        for info in (one for group in victim.all_processes.values() for one in group):
            info.process.send_signal(signal.SIGKILL)
        self.cluster.remove_node(victim, allow_graceful=False)

    def alive(self) -> list[int]:
        workers = self.cluster.worker_nodes
        return [number for number, node in enumerate(self._nodes) if node in workers]


def _hold_nodes(pipe: Connection) -> None:
    """Do what is asked, until whoever asks is gone."""
    os.environ |= _environment_of_nodes()
    nodes = None
    while True:
        try:
            what, given = pipe.recv()
        except EOFError:
            break
        try:
            nodes = nodes or _Nodes()
            pipe.send(getattr(nodes, what)(**given))
        except Exception as error:  # noqa: BLE001 - raised again by whoever asked
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
    if nodes is not None:
        nodes.cluster.shutdown()


def _patiently(start: Callable[..., Any], **given: Any) -> Any:
    """Ray gives its processes 30 seconds to be there, which others may use up."""
    for _ in range(TRIES - 1):
        try:
            return start(**given)
        except Exception as error:  # Ray has no class for it
            if "timed out" not in str(error).lower():
                raise
    return start(**given)


def _environment_of_nodes() -> dict[str, str]:
    """Nodes have what this process has, modules of tests included."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "200",
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[ToyCluster]:
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'seqtune[cluster]')")
    from seqtune.workers.cluster.connection import disconnect

    cluster = ToyCluster()
    yield cluster
    disconnect()
    cluster.shut_down()
