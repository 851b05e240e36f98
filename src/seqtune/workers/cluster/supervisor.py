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

from seqtune.contracts.work import Process

from ..child import Assignment, Ended
from ..gpus import visible_gpus
from ..local import LocalHand, start_here, worker_context
from .carried import Packed

LISTEN_SECONDS = 0.5


@dataclass(frozen=True)
class Order:
    """What a supervisor is to start."""

    index: int
    num_workers: int
    environment: Mapping[str, str]
    """What differs from the node's own."""
    log_level: int
    preload: tuple[str, ...]


class News(NamedTuple):
    """What became of a worker since it was last asked about."""

    words: Sequence[Ended | logging.LogRecord]
    is_alive: bool
    exit_code: int
    death: str
    """How it ended, if it did."""


class _Passing(LocalHand):
    """Keeps what a worker says, to be said elsewhere."""

    words: list[Ended | logging.LogRecord]

    @override
    def hear(self, message: Ended | logging.LogRecord) -> None:
        if isinstance(message, Ended):
            self.ended = message
        self.words.append(message)


class Supervisor:
    """One worker process of this node."""

    def __init__(self) -> None:
        self._hand: _Passing | None = None

    def is_there(self) -> bool:
        """Answers once a node has room for it."""
        return True

    def start(self, packed: Packed, order: Order) -> Process:
        """Bring the folders here, and start the worker."""
        gpus = visible_gpus()
        assignment = Assignment(
            work=packed.settle(),
            index=order.index,
            num_workers=order.num_workers,
            gpu=",".join(gpus) or None,
            pin_gpu=False,  # Ray has done so for this process
            environment=order.environment,
            log_level=order.log_level,
        )
        self._hand = start_here(assignment, worker_context(order.preload), _Passing)
        self._hand.words = []
        return self._hand.process

    def listen(self) -> News:
        """What is new; waits a little for something."""
        hand = self._started
        wait(hand.signs, timeout=LISTEN_SECONDS)
        is_alive = hand.is_alive()  # asked first: whoever is gone has said all
        hand.listen()
        words, hand.words = hand.words, []
        if is_alive:
            return News(words, is_alive=True, exit_code=0, death="")
        return News(words, is_alive=False, exit_code=hand.exit_code, death=hand.describe_death())

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
