"""Who runs a piece of work, and who looks after it: the seam between tuning and workers.

An engine (`workers.local`, `workers.cluster`) runs the same `Work` in several places at once until
each call has returned, and asks a `Foreman` how things stand. Neither side knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

PartT = TypeVar("PartT")
OpenedT = TypeVar("OpenedT", covariant=True)


@dataclass(frozen=True)
class Place:
    """Where one worker runs."""

    index: int
    """From 0; a worker that replaces a dead one takes its index."""
    num_workers: int
    name: str
    """For people: host, process, device."""


class Work(Protocol):
    """Called once in every worker process; picklable. Returns when nothing is left to do."""

    def __call__(self, place: Place) -> None: ...


class Process(NamedTuple):
    """A process, wherever it runs."""

    pid: int
    host: str


class Verdict(NamedTuple):
    """What the foreman wants done."""

    kill: Mapping[Process, str] = {}
    """Processes to kill and replace, each with the reason."""
    stop: str = ""
    """Non-empty: end all workers (in good order) and return; the reason."""


class Foreman(Protocol):
    """Looks after the work from the parent process."""

    def look(self) -> Verdict:
        """Called about twice a second."""

    def lost(self, process: Process, exit_code: int, *, reason: str) -> None:
        """A worker ended without finishing; it is replaced after this returns."""


class Executor(Protocol):
    """Runs `work` in `num_workers` places until all have returned.

    `most`: so many would still find something to do, where places come later.
    """

    def __call__(
        self, work: Work, foreman: Foreman, *, num_workers: int, most: int | None = None
    ) -> None: ...


class Opener(Protocol[OpenedT]):
    """Picklable; called once in every process that takes part."""

    def __call__(self) -> Callable[[int], OpenedT]:
        """What makes the part of that number. A part must not depend on which were made before."""


class Spread(Protocol):
    """Makes all parts of something, in one process or in many, and hands them over in order."""

    def __call__(self, opener: Opener[PartT], num_parts: int) -> Iterator[PartT]: ...


def one_after_another(opener: Opener[PartT], num_parts: int) -> Iterator[PartT]:
    """The `Spread` of this process."""
    make = opener()
    return (make(number) for number in range(num_parts))


def nobody_asked() -> int:
    """Nobody wants an end."""
    return 0


@dataclass(frozen=True)
class RankPlace:
    """Which of the processes this is that share one training, where somebody else started them."""

    rank: int
    world_size: int
    gpu: int = 0
    """Number of its own among the GPUs that the process sees."""
    asked: Callable[[], int] = nobody_asked
    """The signal by which somebody asked for an end; 0: nobody did."""


ALONE = RankPlace(rank=0, world_size=1)
"""No training is shared."""


class RankWork(Protocol):
    """Called once in every rank, by all of them together; picklable."""

    def __call__(self, place: RankPlace) -> None: ...
