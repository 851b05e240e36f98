"""`run_on_cluster`: an Executor with workers on the nodes of a Ray cluster.

They behave as those of `workers.local`. In addition, the workers of a lost node are replaced where
there is room, a worker without room waits for it (an autoscaler sees that), and an elastic pool
uses nodes that join later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from typing_extensions import override

from seqtune.core.execution import Process, StudyMonitor, Work

from ..pool import WorkerBackend, WorkerHandle, WorkerPool
from .connection import Connection
from .file_shipping import ShippedFiles, ShippedPayload
from .ray_errors import unwrap_ray_error
from .supervisor import Command, Event, Supervisor, seqtune_environment

logger = logging.getLogger(__name__)

NODE_LOST = "its node, or Ray there, is gone"
LATER_SECONDS = 300.0
"""How long to wait for room once a worker has been placed: a lost node may be replaced."""
SECONDS_BETWEEN_COUNTS = 5.0


def run_on_cluster(
    work: Work,
    monitor: StudyMonitor,
    *,
    num_workers: int,
    connection: Connection,
    shipped: ShippedFiles,
    most: int | None = None,
    preload: Sequence[str] = (),
    grace_seconds: float = 30.0,
) -> None:
    """Run `work` on the cluster until all workers have returned.

    `most`: add workers up to this number when nodes join later; the work must not depend on how
    many there are.
    """
    connection.require_place()
    backend = _ClusterBackend(
        connection, shipped, shipped.pack(work), num_workers, most or num_workers, tuple(preload)
    )
    WorkerPool(backend, monitor, num_workers=num_workers, grace_seconds=grace_seconds).run()


class _RemoteWorkerHandle(WorkerHandle):
    """A worker that is reached through its `Supervisor`."""

    def __init__(self, index: int, actor: Any, payload: ShippedPayload, command: Command) -> None:
        super().__init__(index)
        self._actor, self._payload, self._command = actor, payload, command
        self._last: Event | None = None
        self.is_placed = False
        """Whether a node has had room for it."""
        self.pending: Any = actor.is_placed.remote()
        """The call of the actor that has not returned yet."""

    @property
    @override
    def exit_code(self) -> int:
        return self._last.exit_code if self._last else 0

    @override
    def is_alive(self) -> bool:
        return self.pending is not None

    @override
    def poll(self) -> None:
        if self.pending is None or not ray.wait([self.pending], timeout=0)[0]:
            return
        pending, self.pending = self.pending, None
        try:
            self._continue(ray.get(pending))
        except ray.exceptions.RayActorError:
            return
        except ray.exceptions.RayError as error:
            raise unwrap_ray_error(error) from None

    def _continue(self, answer: bool | Process | Event) -> None:
        """Make the next call: `start` once there is room, then `poll` until the worker ends."""
        if isinstance(answer, bool):
            self.is_placed = True
            self.pending = self._actor.start.remote(self._payload, self._command)
        elif isinstance(answer, Process):
            self.process, self.started = answer, time.monotonic()
            self.pending = self._actor.poll.remote()
        else:
            self._last = answer
            for message in answer.messages:
                self.receive(message)
            self.pending = self._actor.poll.remote() if answer.is_alive else None

    @override
    def request_stop(self) -> None:
        if self.process is None:
            self.kill()  # it has not begun anything
        else:
            self._actor.request_stop.remote()

    @override
    def kill(self, reason: str = "") -> None:
        self.kill_reason = self.kill_reason or reason
        ray.kill(self._actor)
        self.pending = None

    @override
    def close(self) -> None:
        ray.kill(self._actor)

    @override
    def describe_death(self) -> str:
        return self._last.death if self._last and self._last.death else NODE_LOST


@dataclass
class _ClusterBackend(WorkerBackend):
    connection: Connection
    shipped: ShippedFiles
    payload: ShippedPayload
    num_workers: int
    most: int
    preload: tuple[str, ...]

    def __post_init__(self) -> None:
        self._actors: Any = ray.remote(Supervisor).options(
            **self.connection.resources, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._placed_at: float | None = None
        self._waiting_since = self._counted_at = time.monotonic()

    @override
    def start(self, index: int) -> WorkerHandle:
        command = Command(
            index=index,
            num_workers=self.num_workers,
            environment=seqtune_environment(),
            log_level=logging.getLogger("seqtune").getEffectiveLevel(),
            preload=self.preload,
        )
        return _RemoteWorkerHandle(index, self._actors.remote(), self.payload, command)

    @override
    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> None:
        remote = (worker for worker in workers if isinstance(worker, _RemoteWorkerHandle))
        pending = [worker.pending for worker in remote if worker.pending]
        if pending:
            ray.wait(pending, timeout=seconds)
        else:
            time.sleep(min(seconds, 0.1))

    @override
    def count_wanted(self, workers: Sequence[WorkerHandle], num_workers: int) -> int:
        self._require_room(workers)
        now = time.monotonic()
        if now - self._counted_at < SECONDS_BETWEEN_COUNTS:
            return num_workers
        self._counted_at = now
        self.connection.check_nodes(self.shipped)
        return max(num_workers, min(self.most, self.connection.num_places()))

    def _require_room(self, workers: Sequence[WorkerHandle]) -> None:
        """Refuse to wait for longer than `wait_seconds` without any placed worker."""
        now = time.monotonic()
        if any(isinstance(worker, _RemoteWorkerHandle) and worker.is_placed for worker in workers):
            self._placed_at = self._waiting_since = now
            return
        patience = self.connection.config.wait_seconds
        if self._placed_at is not None:
            patience = max(patience, LATER_SECONDS)
        if now - self._waiting_since > patience:
            raise self.connection.no_room_error("no worker found a place", patience)
