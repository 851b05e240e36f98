"""The actor that stands beside a worker on its node: it holds its CPUs and GPUs, starts it, and
passes on what it says.

The worker itself is the process that it would be on one machine (`child`): work, signals and log
lines are the same wherever it runs. It ends with its actor, and the actor with its node or with the
run that asked for it.
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

LISTEN_SECONDS = 0.5


@dataclass(frozen=True)
class Command:
    """What a supervisor is to start."""

    index: int
    num_workers: int
    environment: Mapping[str, str]
    """What differs from the node's own."""
    log_level: int
    preload: tuple[str, ...]


class Event(NamedTuple):
    """What became of a worker since it was last asked about."""

    words: Sequence[WorkResult | logging.LogRecord]
    is_alive: bool
    exit_code: int
    death: str
    """How it ended, if it did."""


class _Passing(LocalWorkerHandle):
    """Keeps what a worker says, to be said elsewhere."""

    words: list[WorkResult | logging.LogRecord]

    @override
    def hear(self, message: WorkResult | logging.LogRecord) -> None:
        if isinstance(message, WorkResult):
            self.ended = message
        self.words.append(message)


class Supervisor:
    """One worker process of this node."""

    def __init__(self) -> None:
        self._hand: _Passing | None = None

    def is_there(self) -> bool:
        """Answers once a node has room for it."""
        return True

    def start(self, packed: ShippedPayload, order: Command) -> Process:
        """Bring the folders here, and start the worker."""
        gpus = visible_gpus()
        assignment = Assignment(
            work=packed.localize(),
            index=order.index,
            num_workers=order.num_workers,
            gpu=",".join(gpus) or None,
            pin_gpu=False,  # Ray has done so for this process
            environment=order.environment,
            log_level=order.log_level,
        )
        self._hand = start_local_worker(assignment, worker_context(order.preload), _Passing)
        self._hand.words = []
        return self._hand.process

    def listen(self) -> Event:
        """What is new; waits a little for something."""
        hand = self._started
        wait(hand.signs, timeout=LISTEN_SECONDS)
        is_alive = hand.is_alive()  # asked first: whoever is gone has said all
        hand.listen()
        words, hand.words = hand.words, []
        if is_alive:
            return Event(words, is_alive=True, exit_code=0, death="")
        return Event(words, is_alive=False, exit_code=hand.exit_code, death=hand.describe_death())

    def ask_to_end(self) -> None:
        if self._hand is not None:
            self._hand.ask_to_end()

    @property
    def _started(self) -> _Passing:
        if self._hand is None:
            raise RuntimeError("nothing was started")
        return self._hand


def worth_sending(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of the environment here, what is ours to say elsewhere."""
    return {name: value for name, value in environment.items() if name.startswith("SEQTUNE_")}
