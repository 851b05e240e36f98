"""What can be wrong with a cluster: one clear error in time, and nothing begun."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seqtune.core.config import ClusterConfig
from seqtune.core.errors import ConfigurationError
from seqtune.workers.cluster import connection as cluster_connection
from seqtune.workers.cluster.connection import connect, find_head
from seqtune.workers.cluster.file_shipping import ShippedFiles
from seqtune.workers.cluster.probe import Node, ProbeAnswer, installed_versions
from toy_cluster import ToyCluster

WAIT_SECONDS = 8.0


def config(**values: object) -> ClusterConfig:
    return ClusterConfig.model_validate({"engine": "ray", "wait_seconds": WAIT_SECONDS, **values})


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_no_address_is_none_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigurationError, match=r"no Ray cluster on this machine.*ray start"):
        find_head(config())


@pytest.mark.parametrize("address", ["head", "ray://head:10001x", "head:port"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is not host:port"):
        find_head(config(address=address))


def test_nobody_at_the_address() -> None:
    with silent_server() as port:
        pass
    with pytest.raises(ConfigurationError, match=rf"no Ray cluster answers at 127.0.0.1:{port}"):
        find_head(config(address=f"127.0.0.1:{port}"))


def test_somebody_else_at_the_address_is_not_waited_for() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    began = time.monotonic()
    with (
        silent_server() as port,
        pytest.raises(ConfigurationError, match="did not let this machine join"),
        connect(config(address=f"127.0.0.1:{port}")),
    ):
        pass
    assert time.monotonic() - began < 30


def test_a_node_with_other_versions_is_named() -> None:
    other = {**installed_versions(), "torch": "1.0"}
    answer = ProbeAnswer(nodes=[Node(id="1", host="far", versions=other, sees_token=True)])
    answer |= {"silent": [], "error": ""}
    (fault,) = cluster_connection._version_faults(answer)
    assert fault.startswith("node far has torch 1.0, this process ")


def test_a_cluster_of_another_version_is_explained() -> None:
    said = cluster_connection._explain(
        "RuntimeError: Version mismatch: The cluster was\n Ray: 2.0", "h:1"
    )
    assert said.startswith("the cluster at h:1 runs other versions than this process")


# ---- a real cluster ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_that_nodes_do_not_see(
    cluster: ToyCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the scratch folder were on a disk of this machine alone: the token goes at once."""
    shipped = ShippedFiles(reads=(), scratch=tmp_path / "scratch", copy=False)
    with connect(cluster.config()):
        pass
    ask = cluster_connection.ask_nodes

    def too_late(question: object) -> ProbeAnswer:
        for token in (tmp_path / "scratch").iterdir():
            token.unlink()
        return ask(question)  # type: ignore[arg-type]

    monkeypatch.setattr(cluster_connection, "ask_nodes", too_late)
    with (
        pytest.raises(ConfigurationError, match=r"does not see .*scratch.*cluster.data=copy"),
        connect(cluster.config(), shipped=shipped),
    ):
        pass


@pytest.mark.slow
def test_what_no_node_could_hold_is_refused_at_once(cluster: ToyCluster) -> None:
    def require_place(**values: object) -> None:
        with connect(cluster.config(**values)) as connection:
            connection.require_place()

    with pytest.raises(ConfigurationError, match=r"room for 0 workers.*needs 3 CPU"):
        require_place(cpus_per_worker=3)
    with pytest.raises(ConfigurationError, match=r"needs 1 CPU and 1 GPU"):
        require_place(gpus_per_worker=1)


@pytest.mark.slow
def test_places_are_counted_node_by_node(cluster: ToyCluster) -> None:
    with connect(cluster.config()) as connection:
        assert connection.num_places() == 6
    with connect(cluster.config(cpus_per_worker=2)) as connection:
        assert connection.num_places() == 3
        connection.require_place(3)
