"""`connected`: the cluster, tried and found fit before anything is begun on it.

A process joins a cluster once, and leaves it when it ends (or by `disconnect`).

Whatever is wrong (no cluster, another program, other versions, a folder that a node does not see,
no place for a worker) is one error within `cluster.wait_seconds`.
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

from ..child import STOP_SIGNALS
from ..gpus import visible_gpus
from .file_shipping import ShippedFiles
from .probe import ProbeAnswer, ProbeRequest, ask_nodes, join, nodes_alive, versions_here

CONNECT_SECONDS = 3.0
LAST_WORD_SECONDS = 1.0
"""What the process that asks needs to say which nodes are silent."""
HEAD_FILE = Path("ray", "ray_current_cluster")
"""Below the temporary folder: where `ray start` notes the cluster of this machine."""
NEXT = (
    "Start one (ray start --head), name its head in cluster.address or RAY_ADDRESS, or run on this "
    "machine alone with --params cluster.engine=local"
)


@dataclass
class Connection:
    """A cluster that this process belongs to."""

    config: ClusterConfig
    address: str
    fit: dict[Path | None, set[str]] = field(default_factory=dict)
    """Nodes that were found fit, by the folder that they had to see."""

    @property
    def gpus_per_worker(self) -> float:
        wanted = self.config.gpus_per_worker
        if wanted == "auto":
            return 1.0 if any(node.get("GPU", 0) for node in self._nodes()) else 0.0
        return wanted

    @property
    def resources(self) -> dict[str, float]:
        """What Ray keeps for one worker."""
        return {"num_cpus": self.config.cpus_per_worker, "num_gpus": self.gpus_per_worker}

    def num_places(self) -> int:
        """How many workers fit on all nodes as they are now, if nobody else is there."""
        gpus = self.gpus_per_worker
        return sum(_places(node, self.config.cpus_per_worker, gpus) for node in self._nodes())

    def spans_machines(self) -> bool:
        """Whether any node is on another machine than this process."""
        return any(node["NodeManagerHostname"] != socket.gethostname() for node in nodes_alive())

    def require_place(self, num_workers: int = 1) -> None:
        """Refuse what even an idle cluster could not hold."""
        room = self.num_places()
        if room >= num_workers:
            return
        raise ConfigurationError(
            f"the cluster at {self.address} has room for {room} workers, and {num_workers} are "
            f"wanted: each needs {self.needs()}, and {self.describe_nodes()}. Lower "
            "cluster.cpus_per_worker or cluster.gpus_per_worker (0.5: two share a GPU), or add "
            "nodes"
        )

    def no_room(self, what: str, seconds: float) -> ConfigurationError:
        """Why something has waited so long for nothing: others have what it needs."""
        return ConfigurationError(
            f"{what} on the cluster within {seconds:g} s: each needs {self.needs()}, and "
            f"{self.describe_nodes()}. Wait for others to end (ray status), ask for fewer workers, "
            "lower cluster.cpus_per_worker or cluster.gpus_per_worker, add nodes, or wait longer "
            "(cluster.wait_seconds)"
        )

    def needs(self) -> str:
        gpus = self.gpus_per_worker
        share = f" and {gpus:g} GPU" if gpus else ""
        return f"{self.config.cpus_per_worker} CPU{share}"

    def describe_nodes(self) -> str:
        """Every node with what it has, and what is free of all that."""
        import ray

        have = [f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in self._nodes()]
        free: Mapping[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
        left = f"{free.get('CPU', 0):g} CPU and {free.get('GPU', 0):g} GPU are free"
        return f"its {len(have)} nodes have {'; '.join(have)} ({left})"

    def admit(self, carried: ShippedFiles | None) -> None:
        """Find those nodes fit that were not asked about these folders yet; refuse one that is
        not."""
        known = self.fit.setdefault(_seen_folder(carried), set())
        if {node["NodeID"] for node in nodes_alive()} - known:
            known |= _examined(self.config, self.address, carried, known, ask=ask_nodes)

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in nodes_alive()]


_connections: dict[str, Connection] = {}
"""By address: the one that this process has, while it has one."""


@contextmanager
def connected(
    config: ClusterConfig, *, carried: ShippedFiles | None = None
) -> Iterator[Connection]:
    """Ray, ready to be used, on nodes that see what is carried there."""
    address = find_head(config)
    connection = _connections.get(address) or _join(config, address, carried)
    connection = replace(connection, config=config)
    _require_same_hardware(connection)
    connection.admit(carried)
    yield connection


def disconnect() -> None:
    """Leave the cluster."""
    import ray

    ray.shutdown()
    _connections.clear()


def _join(config: ClusterConfig, address: str, carried: ShippedFiles | None) -> Connection:
    """Ray connected, after it was tried elsewhere; signals are handled as before."""
    disconnect()
    fit = _examined(config, address, carried, set(), ask=partial(_in_a_process, config=config))
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    join(address)
    _restore(handlers)
    connection = Connection(config, address, {_seen_folder(carried): fit})
    _connections[address] = connection
    return connection


def find_head(config: ClusterConfig) -> str:
    """host:port of a head that listens."""
    given = config.address
    if given == "auto":
        given = os.environ.get("RAY_ADDRESS") or _noted_head()
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


def _noted_head() -> str:
    folder = Path(os.environ.get("RAY_TMPDIR") or "/tmp")  # noqa: S108 - where Ray puts it
    try:
        return (folder / HEAD_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        raise ConfigurationError(
            f"cluster.engine=ray, but there is no Ray cluster on this machine. {NEXT}"
        ) from None


def _examined(
    config: ClusterConfig,
    address: str,
    carried: ShippedFiles | None,
    known: set[str],
    *,
    ask: Callable[[ProbeRequest], ProbeAnswer],
) -> set[str]:
    """Ids of the nodes that are not known yet; refuses one that is not fit."""
    with _token(carried) as token:
        until = time.time() + config.wait_seconds - LAST_WORD_SECONDS
        question = ProbeRequest(address=address, token=token, known=sorted(known), until=until)
        answer = ask(question)
    faults = [*_silences(answer, config), *_differences(answer), *_blindness(answer, carried)]
    if faults:
        raise ConfigurationError(faults)
    return {node["id"] for node in answer["nodes"]}


def _in_a_process(question: ProbeRequest, *, config: ClusterConfig) -> ProbeAnswer:
    """The answer of a process that can be killed if it hangs."""
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "seqtune.workers.cluster.probe"],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=config.wait_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"what listens at {question['address']} did not let this machine join a Ray cluster "
            f"within {config.wait_seconds:g} s (cluster.wait_seconds). It must be the head of a "
            "cluster that this machine is a node of (ray status; here: ray start --address="
            f"{question['address']}), with the same authentication (RAY_AUTH_MODE). {NEXT}"
        ) from None
    try:
        answer: ProbeAnswer = json.loads(asked.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        said = asked.stderr.strip().splitlines()
        answer = ProbeAnswer(nodes=[], silent=[], error=said[-1] if said else "it said nothing")
    if answer["error"]:
        raise ConfigurationError(_explained(answer["error"], question["address"]))
    return answer


def _explained(error: str, address: str) -> str:
    if "ersion mismatch" in error:
        gist = " ".join(error.split())
        return (
            f"the cluster at {address} runs other versions than this process: {gist}. Install the "
            "same ones on every node (requirements.lock), and start the cluster again"
        )
    return f"the cluster at {address} cannot be joined ({error}). {NEXT}"


def _silences(answer: ProbeAnswer, config: ClusterConfig) -> list[str]:
    return [
        f"node {node} of the cluster did not answer within {config.wait_seconds:g} s "
        "(cluster.wait_seconds); see `ray status`, and take it out or start it again"
        for node in answer["silent"]
    ]


def _differences(answer: ProbeAnswer) -> list[str]:
    """Versions that are not ours: what is found there would not be reproduced here."""
    ours = versions_here()
    return [
        f"node {node['host']} has {name} {found}, this process {ours[name]}; install the same "
        "versions on every node (requirements.lock)"
        for node in answer["nodes"]
        for name, found in sorted(node["versions"].items())
        if found != ours[name]
    ]


def _blindness(answer: ProbeAnswer, carried: ShippedFiles | None) -> list[str]:
    return [
        f"node {node['host']} does not see {carried.scratch}: with cluster.data=shared the folder "
        "of all data (`data` in conf/<environment>/globals.yml) must be the same shared storage on "
        "every node; mount it there, or set cluster.data=copy"
        for node in answer["nodes"]
        if carried is not None and not node["sees_token"]
    ]


def _seen_folder(carried: ShippedFiles | None) -> Path | None:
    """The folder that every node must see; None where there is none."""
    return None if carried is None or carried.copy else carried.scratch


@contextmanager
def _token(carried: ShippedFiles | None) -> Iterator[str]:
    """A file that only who shares the scratch folder with us can see."""
    folder = _seen_folder(carried)
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


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    except ValueError:
        return  # only the main thread handles signals, and Ray has not touched them elsewhere


def _require_same_hardware(connection: Connection) -> None:
    """What auto means (precision, device) is settled in this process for all of them."""
    if connection.gpus_per_worker and connection.num_places() and not visible_gpus():
        raise ConfigurationError(
            f"every worker gets {connection.gpus_per_worker:g} GPU, but this process sees none, "
            "and what it settles (device, precision) holds for all of them. Start it on a node "
            "with GPUs (RayJob: entrypointNumGpus), or set cluster.gpus_per_worker=0"
        )


def _places(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    room = int(node.get("CPU", 0) // cpus)
    if not gpus:
        return room
    of_gpus = node.get("GPU", 0)
    by_gpus = int(of_gpus // gpus) if gpus >= 1 else int(of_gpus) * int(1 / gpus)
    return min(room, by_gpus)
