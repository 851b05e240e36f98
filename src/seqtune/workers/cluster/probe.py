"""`python -m seqtune.workers.cluster.probe`: whether a cluster answers, and what its nodes have.

Connecting to a head that is not there, is another program, or has lost its node can take minutes
and cannot be interrupted. Therefore it is tried in a process of its own, which can be killed.

Reads a `ProbeRequest` as JSON from its input and writes an `ProbeAnswer` to its output.
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
"""What must be the same everywhere; Python and Ray itself are compared by Ray."""


class ProbeRequest(TypedDict):
    address: str
    token: str
    """A file that every node should see; empty: none."""
    known: list[str]
    """Nodes that were asked before."""
    until: float
    """Seconds since the epoch: what has not answered then is silent."""


class Node(TypedDict):
    """What a node says about itself."""

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
    question: ProbeRequest = json.load(sys.stdin)
    try:
        join(question["address"])
        answer = ask_nodes(question)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent explains it
        answer = ProbeAnswer(nodes=[], silent=[], error=f"{type(error).__name__}: {error}")
    json.dump(answer, sys.stdout)


def versions_here() -> dict[str, str]:
    """Of what must be the same everywhere."""
    found = {"python": platform.python_version()}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def join(address: str) -> None:
    """Become part of a cluster, without a word: what goes wrong there is raised, and logged by Ray
    in its own files."""
    import ray

    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with _nothing_said():
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


@contextmanager
def _nothing_said() -> Iterator[None]:
    """Ray's core writes that its level was set, past every logger of Python."""
    before, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(before, STDERR)
        os.close(before)
        os.close(nowhere)


def nodes_alive() -> list[dict[str, Any]]:
    """What Ray knows of every node that is there."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def ask_nodes(question: ProbeRequest) -> ProbeAnswer:
    """What every node says that was not asked before; this process must have joined."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(_tell)
    asked: dict[Any, dict[str, Any]] = {}
    for node in nodes_alive():
        if node["NodeID"] not in question["known"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[ask.options(scheduling_strategy=there).remote(question["token"])] = node
    if not asked:
        return ProbeAnswer(nodes=[], silent=[], error="")
    left = max(0.0, question["until"] - time.time())
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=left)
    nodes: list[Node] = []
    for one in done:
        with suppress(ray.exceptions.RayError):  # lost on the way: silent, unless it is gone
            nodes.append(ray.get(one))
    heard = {node["id"] for node in nodes}
    there_still = {node["NodeID"] for node in nodes_alive()}
    silent = [
        f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node in asked.values()
        if node["NodeID"] in there_still - heard
    ]
    return ProbeAnswer(nodes=nodes, silent=silent, error="")


def _tell(token: str) -> Node:
    import ray

    return Node(
        id=ray.get_runtime_context().get_node_id(),
        host=socket.gethostname(),
        versions=versions_here(),
        sees_token=not token or Path(token).is_file(),
    )


if __name__ == "__main__":
    main()
