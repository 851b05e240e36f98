"""A real Ray cluster of three nodes, all on this machine, for a file of tests.

Not for the session: its two dozen processes are not idle, and the other tests have the same cores.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from seqtune.contracts.config import ClusterConfig

CPUS_PER_NODE = 2
PATIENCE = 100.0
"""Two cores run all of this beside other tests."""
TRIES = 3


class ToyCluster:
    """Nodes that can be added and killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": CPUS_PER_NODE, "num_gpus": 0, "include_dashboard": False}
        with _environment_of_nodes():
            self._cluster = _patiently(Cluster, initialize_head=True, head_node_args=head)
        self.nodes = [self.add_node(), self.add_node()]

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def environment(self) -> dict[str, str]:
        """That of nodes, for one that is started elsewhere."""
        with _environment_of_nodes():
            return dict(os.environ)

    def config(self, **values: Any) -> ClusterConfig:
        ours = {"engine": "ray", "address": self.address, "wait_seconds": PATIENCE}
        return ClusterConfig.model_validate({**ours, **values})

    def add_node(self, **values: Any) -> Any:
        with _environment_of_nodes():
            given = {"num_cpus": CPUS_PER_NODE, "num_gpus": 0, **values}
            return _patiently(self._cluster.add_node, **given)

    def kill_node(self, node: Any) -> None:
        """As if its power had failed: Ray there, and all that it has started."""
        for info in (one for group in node.all_processes.values() for one in group):
            info.process.send_signal(signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)

    def mend(self) -> None:
        """Three nodes again."""
        alive = [node for node in self.nodes if node in self._cluster.worker_nodes]
        self.nodes = [*alive, *(self.add_node() for _ in range(2 - len(alive)))]

    def shut_down(self) -> None:
        self._cluster.shutdown()


def _patiently(start: Callable[..., Any], **given: Any) -> Any:
    """Ray gives a node 30 seconds to be there, which others may use up."""
    for _ in range(TRIES - 1):
        try:
            return start(**given)
        except Exception as error:  # Ray has no class for it
            if "timed out during startup" not in str(error):
                raise
    return start(**given)


@contextmanager
def _environment_of_nodes() -> Iterator[None]:
    """Nodes have what this process has, modules of tests included."""
    ours = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "200",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ours.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[ToyCluster]:
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'seqtune[cluster]')")
    from seqtune.workers.cluster.connection import disconnect

    cluster = ToyCluster()
    yield cluster
    disconnect()
    cluster.shut_down()
