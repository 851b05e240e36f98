"""The interface between tuning and workers: who runs a piece of work, and who monitors it.

An executor (`workers.local`, `workers.cluster`) runs the same `Work` in several places at once
until each call has returned, and polls a `StudyMonitor`. Neither side knows the other.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

PartT = TypeVar("PartT")


@dataclass(frozen=True)
class WorkerInfo:
    """Where one worker runs."""

    index: int
    """From 0; a worker that replaces a dead one takes its index."""
    num_workers: int
    name: str
    """For display: host, process, device."""


Work = Callable[[WorkerInfo], None]
"""Called once in every worker process; picklable. Returns when nothing is left to do."""


class Process(NamedTuple):
    """A process on some host."""

    pid: int
    host: str


class MonitorDecision(NamedTuple):
    """What the executor should do."""

    kill: Mapping[Process, str] = {}
    """Processes to kill and replace, each with the reason."""
    stop: str = ""
    """Non-empty: the reason to end all workers gracefully and return."""


class StudyMonitor(Protocol):
    """Monitors the work from the parent process."""

    def look(self) -> MonitorDecision:
        """Called about twice a second."""

    def lost(self, process: Process, exit_code: int, *, reason: str) -> None:
        """A worker ended without finishing; it is replaced after this returns."""


class Executor(Protocol):
    """Runs `work` in `num_workers` places until all have returned; in up to `most` if more places
    become free."""

    def __call__(
        self, work: Work, monitor: StudyMonitor, /, *, num_workers: int, most: int | None = None
    ) -> None: ...


PartFactory = Callable[[], Callable[[int], PartT]]
"""Picklable; called once in every process that takes part. The result makes the part of a number,
which must not depend on the parts made before."""


class ParallelMap(Protocol):
    """Makes all parts, in one process or many, and yields them in order."""

    def __call__(self, opener: PartFactory[PartT], num_parts: int) -> Iterator[PartT]: ...


def map_serially(opener: PartFactory[PartT], num_parts: int) -> Iterator[PartT]:
    """The `ParallelMap` of this process."""
    make = opener()
    return (make(number) for number in range(num_parts))


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a run to end; that of a closed terminal unless `nohup` has
    switched it off."""
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN:
        return (signal.SIGINT, signal.SIGTERM)
    return (signal.SIGINT, signal.SIGTERM, hang_up)


def no_stop_signal() -> int:
    """Report that no signal asked to stop."""
    return 0


@dataclass(frozen=True)
class RankInfo:
    """Which of the externally started processes of one training this is."""

    rank: int
    world_size: int
    gpu: int = 0
    """Index of its GPU among those that the process sees."""
    asked: Callable[[], int] = no_stop_signal
    """Returns the signal that asked to stop; 0 for none."""


ALONE = RankInfo(rank=0, world_size=1)
"""A training in one process."""


RankWork = Callable[[RankInfo], None]
"""Called once in every rank, in all of them together; picklable."""
