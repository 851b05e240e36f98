"""Connect to a Ray cluster, and check its nodes before anything runs there.

A process joins a cluster once, and leaves it when it ends (or by `disconnect`). Every fault (no
cluster, another program, other versions, a folder that a node does not see, no room for a worker)
is one error within `cluster.wait_seconds`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from seqtune.core.config import ClusterConfig
from seqtune.core.errors import ConfigurationError
from seqtune.core.execution import stop_signals

from ..gpus import visible_gpus
from .file_shipping import ShippedFiles
from .probe import ProbeAnswer, ProbeRequest, ask_nodes, installed_versions, join, nodes_alive

CONNECT_SECONDS = 3.0
REPORT_SECONDS = 1.0
"""Time that the probing process needs to report the nodes that did not answer."""
HEAD_FILE = Path("ray", "ray_current_cluster")
"""Below the temporary folder: where `ray start` writes the address of its cluster."""
NEXT = (
    "Start one (ray start --head), name its head in cluster.address or RAY_ADDRESS, or run on this "
    "machine alone with --params cluster.engine=local"
)


@dataclass
class Connection:
    """A cluster that this process has joined."""

    config: ClusterConfig
    address: str
    checked: dict[Path | None, set[str]] = field(default_factory=dict)
    """Ids of the nodes that passed the checks, by the folder that they had to see."""

    @property
    def gpus_per_worker(self) -> float:
        wanted = self.config.gpus_per_worker
        if wanted == "auto":
            return 1.0 if any(node.get("GPU", 0) for node in self._nodes()) else 0.0
        return wanted

    @property
    def resources(self) -> dict[str, float]:
        """What Ray reserves for one worker."""
        return {"num_cpus": self.config.cpus_per_worker, "num_gpus": self.gpus_per_worker}

    def num_places(self) -> int:
        """Return how many workers fit on the current nodes if nothing else runs there."""
        gpus = self.gpus_per_worker
        return sum(_places(node, self.config.cpus_per_worker, gpus) for node in self._nodes())

    def spans_machines(self) -> bool:
        """Return whether any node is on another machine than this process."""
        return any(node["NodeManagerHostname"] != socket.gethostname() for node in nodes_alive())

    def require_place(self, num_workers: int = 1) -> None:
        """Refuse more workers than even an idle cluster has room for."""
        room = self.num_places()
        if room >= num_workers:
            return
        raise ConfigurationError(
            f"the cluster at {self.address} has room for {room} workers, and {num_workers} are "
            f"wanted: each needs {self.describe_needs()}, and {self.describe_nodes()}. Lower "
            "cluster.cpus_per_worker or cluster.gpus_per_worker (0.5: two share a GPU), or add "
            "nodes"
        )

    def no_room_error(self, what: str, seconds: float) -> ConfigurationError:
        """Return the error of something that has waited in vain for others to end."""
        return ConfigurationError(
            f"{what} on the cluster within {seconds:g} s: each needs {self.describe_needs()}, and "
            f"{self.describe_nodes()}. Wait for others to end (ray status), ask for fewer workers, "
            "lower cluster.cpus_per_worker or cluster.gpus_per_worker, add nodes, or wait longer "
            "(cluster.wait_seconds)"
        )

    def describe_needs(self) -> str:
        gpus = self.gpus_per_worker
        share = f" and {gpus:g} GPU" if gpus else ""
        return f"{self.config.cpus_per_worker} CPU{share}"

    def describe_nodes(self) -> str:
        """Describe the resources of every node, and how much of them is free."""
        import ray

        have = [f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in self._nodes()]
        free: Mapping[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
        left = f"{free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU are free"
        return f"its {len(have)} nodes have {'; '.join(have)} ({left})"

    def check_nodes(self, shipped: ShippedFiles | None) -> None:
        """Check the nodes that were not yet checked for these folders; refuse an unfit one."""
        known = self.checked.setdefault(_shared_folder(shipped), set())
        if {node["NodeID"] for node in nodes_alive()} - known:
            known |= _probe_nodes(self.config, self.address, shipped, known, ask=ask_nodes)

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in nodes_alive()]


_connections: dict[str, Connection] = {}
"""The clusters that this process has joined, by address."""


@contextmanager
def connect(config: ClusterConfig, *, shipped: ShippedFiles | None = None) -> Iterator[Connection]:
    """Yield a connection whose nodes run the same versions and see the shared folders."""
    address = find_head(config)
    connection = _connections.get(address) or _join(config, address, shipped)
    connection = replace(connection, config=config)
    _require_same_hardware(connection)
    connection.check_nodes(shipped)
    yield connection


def disconnect() -> None:
    """Leave the cluster."""
    import ray

    ray.shutdown()
    _connections.clear()


def _join(config: ClusterConfig, address: str, shipped: ShippedFiles | None) -> Connection:
    """Join after another process could; keep the signal handlers that Ray replaces."""
    disconnect()
    checked = _probe_nodes(
        config, address, shipped, set(), ask=partial(_ask_in_subprocess, config=config)
    )
    handlers = {number: signal.getsignal(number) for number in stop_signals()}
    join(address)
    _restore_signals(handlers)
    connection = Connection(config, address, {_shared_folder(shipped): checked})
    _connections[address] = connection
    return connection


def find_head(config: ClusterConfig) -> str:
    """Return host:port of a head that accepts connections."""
    given = config.address
    if given == "auto":
        given = os.environ.get("RAY_ADDRESS") or _read_head()
    host, _, port = given.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(
            f"cluster.address={given!r} is not host:port, as `ray start --head` prints it "
            "(clients of the form ray://... cannot be used: the run is a node of its cluster)"
        )
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
            return given
    except OSError as error:
        raise ConfigurationError(
            f"no Ray cluster answers at {given} ({error.strerror or error}). {NEXT}"
        ) from error


def _read_head() -> str:
    folder = Path(os.environ.get("RAY_TMPDIR") or "/tmp")  # noqa: S108 - where Ray puts it
    try:
        return (folder / HEAD_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        raise ConfigurationError(
            f"cluster.engine=ray, but there is no Ray cluster on this machine. {NEXT}"
        ) from None


def _probe_nodes(
    config: ClusterConfig,
    address: str,
    shipped: ShippedFiles | None,
    known: set[str],
    *,
    ask: Callable[[ProbeRequest], ProbeAnswer],
) -> set[str]:
    """Return the ids of the nodes that are not `known`; refuse an unfit one."""
    with _token(shipped) as token:
        until = time.time() + config.wait_seconds - REPORT_SECONDS
        request = ProbeRequest(address=address, token=token, known=sorted(known), until=until)
        answer = ask(request)
    faults = [
        *_silent_faults(answer, config),
        *_version_faults(answer),
        *_folder_faults(answer, shipped),
    ]
    if faults:
        raise ConfigurationError(faults)
    return {node["id"] for node in answer["nodes"]}


def _ask_in_subprocess(request: ProbeRequest, *, config: ClusterConfig) -> ProbeAnswer:
    """Ask from a process that can be killed if it hangs."""
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "seqtune.workers.cluster.probe"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=config.wait_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"what listens at {request['address']} did not let this machine join a Ray cluster "
            f"within {config.wait_seconds:g} s (cluster.wait_seconds). It must be the head of a "
            "cluster that this machine is a node of (ray status; here: ray start --address="
            f"{request['address']}), with the same authentication (RAY_AUTH_MODE). {NEXT}"
        ) from None
    try:
        answer: ProbeAnswer = json.loads(asked.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        lines = asked.stderr.strip().splitlines() or ["without an answer"]
        answer = ProbeAnswer(nodes=[], silent=[], error=lines[-1])
    if answer["error"]:
        raise ConfigurationError(_explain(answer["error"], request["address"]))
    return answer


def _explain(error: str, address: str) -> str:
    if "ersion mismatch" in error:
        gist = " ".join(error.split())
        return (
            f"the cluster at {address} runs other versions than this process: {gist}. Install the "
            "same ones on every node (requirements.lock), and start the cluster again"
        )
    return f"the cluster at {address} cannot be joined ({error}). {NEXT}"


def _silent_faults(answer: ProbeAnswer, config: ClusterConfig) -> list[str]:
    return [
        f"node {node} of the cluster did not answer within {config.wait_seconds:g} s "
        "(cluster.wait_seconds); see `ray status`, and take it out or start it again"
        for node in answer["silent"]
    ]


def _version_faults(answer: ProbeAnswer) -> list[str]:
    """Describe other versions than here: results found there could not be reproduced."""
    own = installed_versions()
    return [
        f"node {node['host']} has {name} {found}, this process {own[name]}; install the same "
        "versions on every node (requirements.lock)"
        for node in answer["nodes"]
        for name, found in sorted(node["versions"].items())
        if found != own[name]
    ]


def _folder_faults(answer: ProbeAnswer, shipped: ShippedFiles | None) -> list[str]:
    return [
        f"node {node['host']} does not see {shipped.scratch}: with cluster.data=shared the folder "
        "of all data (`data` in conf/<environment>/globals.yml) must be the same shared storage on "
        "every node; mount it there, or set cluster.data=copy"
        for node in answer["nodes"]
        if shipped is not None and not node["sees_token"]
    ]


def _shared_folder(shipped: ShippedFiles | None) -> Path | None:
    """Return the folder that every node must see, if any."""
    return None if shipped is None or shipped.copy else shipped.scratch


@contextmanager
def _token(shipped: ShippedFiles | None) -> Iterator[str]:
    """Create a file that only nodes which share the scratch folder can see."""
    folder = _shared_folder(shipped)
    if folder is None:
        yield ""
        return
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".seen-{uuid.uuid4().hex}"
    token.touch()
    try:
        yield str(token.resolve())
    finally:
        token.unlink(missing_ok=True)


def _restore_signals(handlers: Mapping[signal.Signals, Any]) -> None:
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    except ValueError:
        return  # only the main thread has signal handlers, so Ray has not changed them here


def _require_same_hardware(connection: Connection) -> None:
    """Refuse GPU workers without a GPU here: this process resolves `auto` for all of them."""
    if connection.gpus_per_worker and connection.num_places() and not visible_gpus():
        raise ConfigurationError(
            f"every worker gets {connection.gpus_per_worker:g} GPU, but this process sees none, "
            "and the device and precision that it chooses hold for all of them. Start it on a node "
            "with GPUs (RayJob: entrypointNumGpus), or set cluster.gpus_per_worker=0"
        )


def _places(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    room = int(node.get("CPU", 0) // cpus)
    if not gpus:
        return room
    of_gpus = node.get("GPU", 0)
    by_gpus = int(of_gpus // gpus) if gpus >= 1 else int(of_gpus) * int(1 / gpus)
    return min(room, by_gpus)
