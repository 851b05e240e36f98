"""`python -m seqtune.workers.cluster.probe`: whether a cluster answers, and what its nodes have.

Connecting to an address without a head, to another program, or to a head that has lost its node can
take minutes and cannot be interrupted, so it is tried in a process that can be killed. It reads a
`ProbeRequest` as JSON from its input and writes a `ProbeAnswer` to its output.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

STDERR = 2
COMPARED = ("seqtune", "torch", "lightning", "numpy", "optuna")
"""Packages whose versions must be equal; Ray compares those of Python and Ray."""


class ProbeRequest(TypedDict):
    address: str
    token: str
    """A file that every node should see; empty for none."""
    known: list[str]
    """Ids of the nodes that need not be asked."""
    until: float
    """Seconds since the epoch: a node that has not answered by then is silent."""


class Node(TypedDict):
    """The answer of one node."""

    id: str
    host: str
    versions: dict[str, str]
    sees_token: bool


class ProbeAnswer(TypedDict):
    nodes: list[Node]
    silent: list[str]
    """Addresses of nodes that did not answer in time."""
    error: str


def main() -> None:
    request: ProbeRequest = json.load(sys.stdin)
    try:
        join(request["address"])
        answer = ask_nodes(request)
    except Exception as error:  # noqa: BLE001 - the parent explains it
        answer = ProbeAnswer(nodes=[], silent=[], error=f"{type(error).__name__}: {error}")
    json.dump(answer, sys.stdout)


def installed_versions() -> dict[str, str]:
    """Return the versions that must be the same everywhere."""
    found = {"python": platform.python_version()}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def join(address: str) -> None:
    """Join a cluster without output; Ray raises its errors and logs to its own files."""
    import ray

    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with _silence_stderr():
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Hide what Ray's core writes past every logger of Python."""
    before, null = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDERR)
    try:
        yield
    finally:
        os.dup2(before, STDERR)
        os.close(before)
        os.close(null)


def nodes_alive() -> list[dict[str, Any]]:
    """Return Ray's description of every living node."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def ask_nodes(request: ProbeRequest) -> ProbeAnswer:
    """Ask every node that is not known yet; this process must have joined the cluster."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(_describe_node)
    asked: dict[Any, dict[str, Any]] = {}
    for node in nodes_alive():
        if node["NodeID"] not in request["known"]:
            on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[ask.options(scheduling_strategy=on_node).remote(request["token"])] = node
    if not asked:
        return ProbeAnswer(nodes=[], silent=[], error="")
    left = max(0.0, request["until"] - time.time())
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=left)
    nodes: list[Node] = []
    for one in done:
        with suppress(ray.exceptions.RayError):  # a lost answer: silent, if the node still lives
            nodes.append(ray.get(one))
    silent_ids = {node["NodeID"] for node in nodes_alive()} - {node["id"] for node in nodes}
    silent = [
        f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node in asked.values()
        if node["NodeID"] in silent_ids
    ]
    return ProbeAnswer(nodes=nodes, silent=silent, error="")


def _describe_node(token: str) -> Node:
    import ray

    return Node(
        id=ray.get_runtime_context().get_node_id(),
        host=socket.gethostname(),
        versions=installed_versions(),
        sees_token=not token or Path(token).is_file(),
    )


if __name__ == "__main__":
    main()
