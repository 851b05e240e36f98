"""Who runs a piece of work, and who looks after it: the seam between tuning and workers.

An engine (`workers.local`, `workers.cluster`) runs the same `Work` in several places at once until
each call has returned, and asks a `StudyMonitor` how things stand. Neither side knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

PartT = TypeVar("PartT")
OpenedT = TypeVar("OpenedT", covariant=True)


@dataclass(frozen=True)
class WorkerInfo:
    """Where one worker runs."""

    index: int
    """From 0; a worker that replaces a dead one takes its index."""
    num_workers: int
    name: str
    """For people: host, process, device."""


class Work(Protocol):
    """Called once in every worker process; picklable. Returns when nothing is left to do."""

    def __call__(self, place: WorkerInfo) -> None: ...


class Process(NamedTuple):
    """A process, wherever it runs."""

    pid: int
    host: str


class MonitorDecision(NamedTuple):
    """What the monitor wants done."""

    kill: Mapping[Process, str] = {}
    """Processes to kill and replace, each with the reason."""
    stop: str = ""
    """Non-empty: end all workers (in good order) and return; the reason."""


class StudyMonitor(Protocol):
    """Looks after the work from the parent process."""

    def look(self) -> MonitorDecision:
        """Called about twice a second."""

    def lost(self, process: Process, exit_code: int, *, reason: str) -> None:
        """A worker ended without finishing; it is replaced after this returns."""


class Executor(Protocol):
    """Runs `work` in `num_workers` places until all have returned.

    `most`: so many would still find something to do, where places come later.
    """

    def __call__(
        self, work: Work, monitor: StudyMonitor, *, num_workers: int, most: int | None = None
    ) -> None: ...


class PartFactory(Protocol[OpenedT]):
    """Picklable; called once in every process that takes part."""

    def __call__(self) -> Callable[[int], OpenedT]:
        """What makes the part of that number. A part must not depend on which were made before."""


class ParallelMap(Protocol):
    """Makes all parts of something, in one process or in many, and hands them over in order."""

    def __call__(self, opener: PartFactory[PartT], num_parts: int) -> Iterator[PartT]: ...


def map_serially(opener: PartFactory[PartT], num_parts: int) -> Iterator[PartT]:
    """The `ParallelMap` of this process."""
    make = opener()
    return (make(number) for number in range(num_parts))


def no_stop_signal() -> int:
    """Nobody wants an end."""
    return 0


@dataclass(frozen=True)
class RankInfo:
    """Which of the processes this is that share one training, where somebody else started them."""

    rank: int
    world_size: int
    gpu: int = 0
    """Number of its own among the GPUs that the process sees."""
    asked: Callable[[], int] = no_stop_signal
    """The signal by which somebody asked for an end; 0: nobody did."""


ALONE = RankInfo(rank=0, world_size=1)
"""No training is shared."""


class RankWork(Protocol):
    """Called once in every rank, by all of them together; picklable."""

    def __call__(self, place: RankInfo) -> None: ...
