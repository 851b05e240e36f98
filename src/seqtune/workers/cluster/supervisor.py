"""The actor beside a worker on its node: it reserves CPUs and GPUs, starts the worker, and passes
on its messages.

The worker is the same process as on one machine (`child`), so work, signals and log lines do not
depend on the node. It ends with its actor, and the actor with its node or with the run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import NamedTuple

from typing_extensions import override

from seqtune.core.execution import Process

from ..child import Assignment, WorkResult
from ..gpus import visible_gpus
from ..local import LocalWorkerHandle, start_local_worker, worker_context
from .file_shipping import ShippedPayload

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Command:
    """The worker that a supervisor is to start."""

    index: int
    num_workers: int
    environment: Mapping[str, str]
    """To be added to the node's own."""
    log_level: int
    preload: tuple[str, ...]


class Event(NamedTuple):
    """What has happened to a worker since the last `poll`."""

    messages: Sequence[WorkResult | logging.LogRecord]
    is_alive: bool
    exit_code: int = 0
    death: str = ""
    """How it ended, if it did."""


class _RelayHandle(LocalWorkerHandle):
    """Collects the messages of a worker for the process that started the run."""

    messages: list[WorkResult | logging.LogRecord]

    @override
    def receive(self, message: WorkResult | logging.LogRecord) -> None:
        if isinstance(message, WorkResult):
            self.result = message
        self.messages.append(message)


class Supervisor:
    """One worker process of this node."""

    def __init__(self) -> None:
        self._worker: _RelayHandle | None = None

    def is_placed(self) -> bool:
        """Answer once a node has room for this actor."""
        return True

    def start(self, payload: ShippedPayload, command: Command) -> Process:
        """Fetch the folders, and start the worker."""
        gpus = visible_gpus()
        assignment = Assignment(
            work=payload.localize(),
            index=command.index,
            num_workers=command.num_workers,
            gpu=",".join(gpus) or None,
            pin_gpu=False,  # Ray has done so for this process
            environment=command.environment,
            log_level=command.log_level,
        )
        context = worker_context(command.preload)
        self._worker = start_local_worker(assignment, context, _RelayHandle)
        self._worker.messages = []
        return self._worker.process

    def poll(self) -> Event:
        """Return what is new; wait a little if nothing is."""
        worker = self._worker
        if worker is None:
            raise RuntimeError("no worker has been started")
        wait(worker.waitables, timeout=POLL_SECONDS)
        is_alive = worker.is_alive()  # asked first: an ended process has sent everything
        worker.poll()
        messages, worker.messages = worker.messages, []
        if is_alive:
            return Event(messages, is_alive=True)
        death = worker.describe_death()
        return Event(messages, is_alive=False, exit_code=worker.exit_code, death=death)

    def request_stop(self) -> None:
        if self._worker is not None:
            self._worker.request_stop()


def seqtune_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment variables that other nodes need."""
    return {name: value for name, value in environment.items() if name.startswith("SEQTUNE_")}
