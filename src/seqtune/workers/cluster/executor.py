"""`run_on_cluster`: an Executor with workers on the nodes of a Ray cluster.

They behave as those of `workers.local`. In addition a lost node is a lost worker, replaced where
there is room; a worker without room waits for it, which an autoscaler hears of; and an elastic
crew takes nodes into use that join later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from seqtune.core.execution import Process, StudyMonitor, Work

from ..pool import WorkerBackend, WorkerHandle, WorkerPool
from .connection import Connection
from .file_shipping import ShippedFiles, ShippedPayload
from .ray_errors import unwrap_ray_error
from .supervisor import Command, Event, Supervisor, worth_sending

logger = logging.getLogger(__name__)

NODE_LOST = "its node, or Ray there, is gone"
LATER_SECONDS = 300.0
"""How long to wait for room once there has been some: nodes are replaced."""
SECONDS_BETWEEN_COUNTS = 5.0


def run_on_cluster(
    work: Work,
    foreman: StudyMonitor,
    *,
    num_workers: int,
    connection: Connection,
    carried: ShippedFiles,
    most: int | None = None,
    preload: Sequence[str] = (),
    grace_seconds: float = 30.0,
) -> None:
    """Run `work` on the cluster until all workers have returned.

    `most`: up to so many workers where room for them comes later; the work must not depend on
    their number.
    """
    connection.require_place()
    yard = _Cluster(
        work,
        connection,
        carried,
        num_workers=num_workers,
        most=most or num_workers,
        preload=preload,
    )
    WorkerPool(yard, foreman, num_workers=num_workers, grace_seconds=grace_seconds).work()


class _RemoteWorkerHandle(WorkerHandle):
    """A worker behind its actor."""

    def __init__(self, index: int, actor: Any, packed: ShippedPayload, order: Command) -> None:
        super().__init__(index)
        self._actor, self._packed, self._order = actor, packed, order
        self._process: Process | None = None
        self._last: Event | None = None
        self.is_placed = False
        """Whether a node has room for it."""
        self.asked = actor.is_there.remote()
        """What the actor has been asked and has not answered yet."""

    @property
    @override
    def process(self) -> Process | None:
        return self._process

    @property
    @override
    def exit_code(self) -> int:
        return self._last.exit_code if self._last else 0

    @override
    def is_alive(self) -> bool:
        return self.asked is not None

    @override
    def listen(self) -> None:
        import ray

        if self.asked is None or not ray.wait([self.asked], timeout=0)[0]:
            return
        try:
            answer = ray.get(self.asked)
        except ray.exceptions.RayActorError:
            self.asked = None
            return
        except ray.exceptions.RayError as error:
            self.asked = None
            raise unwrap_ray_error(error) from None
        self._take(answer)

    def _take(self, answer: bool | Process | Event) -> None:
        """An answer, and the next question: where it is, then who, then again and again how."""
        if isinstance(answer, bool):
            self.is_placed = True
            self.asked = self._actor.start.remote(self._packed, self._order)
        elif isinstance(answer, Process):
            self._process, self.started = answer, time.monotonic()
            self.asked = self._actor.listen.remote()
        else:
            self._last = answer
            for word in answer.words:
                self.hear(word)
            self.asked = self._actor.listen.remote() if answer.is_alive else None

    @override
    def ask_to_end(self) -> None:
        if self._process is None:
            self.kill()  # it has begun nothing
        else:
            self._actor.ask_to_end.remote()

    @override
    def kill(self, reason: str = "") -> None:
        import ray

        self.killed_for = self.killed_for or reason
        ray.kill(self._actor)
        self.asked = None

    @override
    def close(self) -> None:
        import ray

        ray.kill(self._actor)

    @override
    def describe_death(self) -> str:
        if self.killed_for:
            return self.killed_for
        return self._last.death if self._last and self._last.death else NODE_LOST


class _Cluster(WorkerBackend):
    def __init__(
        self,
        work: Work,
        connection: Connection,
        carried: ShippedFiles,
        *,
        num_workers: int,
        most: int,
        preload: Sequence[str],
    ) -> None:
        import ray

        self._connection = connection
        self._carried = carried
        self._packed = carried.pack(work)
        self._num_workers = num_workers
        self._preload = tuple(preload)
        self._most = most
        self._actors: Any = ray.remote(Supervisor).options(
            **connection.resources, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._placed_at: float | None = None
        self._waiting_since = time.monotonic()
        self._counted_at = time.monotonic()

    @override
    def start(self, index: int) -> WorkerHandle:
        order = Command(
            index=index,
            num_workers=self._num_workers,
            environment=worth_sending(),
            log_level=logging.getLogger("seqtune").getEffectiveLevel(),
            preload=self._preload,
        )
        return _RemoteWorkerHandle(index, self._actors.remote(), self._packed, order)

    @override
    def wait(self, hands: Sequence[WorkerHandle], seconds: float) -> None:
        import ray

        asked = [
            hand.asked for hand in hands if isinstance(hand, _RemoteWorkerHandle) and hand.asked
        ]
        if asked:
            ray.wait(asked, timeout=seconds)
        else:
            time.sleep(min(seconds, 0.1))

    @override
    def room_for(self, hands: Sequence[WorkerHandle], num_workers: int) -> int:
        self._require_room(hands)
        now = time.monotonic()
        if now - self._counted_at < SECONDS_BETWEEN_COUNTS:
            return num_workers
        self._counted_at = now
        self._connection.admit(self._carried)
        return max(num_workers, min(self._most, self._connection.num_places()))

    def _require_room(self, hands: Sequence[WorkerHandle]) -> None:
        """Somebody must be at work, or have been not long ago."""
        now = time.monotonic()
        if any(isinstance(hand, _RemoteWorkerHandle) and hand.is_placed for hand in hands):
            self._placed_at = self._waiting_since = now
            return
        patience = self._connection.config.wait_seconds
        if self._placed_at is not None:
            patience = max(patience, LATER_SECONDS)
        if now - self._waiting_since > patience:
            raise self._connection.no_room("no worker found a place", patience)
