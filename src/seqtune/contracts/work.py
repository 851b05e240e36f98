"""Who runs a piece of work, and who looks after it: the seam between tuning and workers.

An engine (`workers.local`, later Ray) runs the same `Work` in several places at once until each
call has returned, and asks a `Foreman` how things stand. Neither side knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


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


class Verdict(NamedTuple):
    """What the foreman wants done."""

    kill: Mapping[int, str] = {}
    """Process ids to kill and replace, each with the reason."""
    stop: str = ""
    """Non-empty: end all workers (in good order) and return; the reason."""


class Foreman(Protocol):
    """Looks after the work from the parent process."""

    def look(self) -> Verdict:
        """Called about twice a second."""

    def lost(self, process: int, exit_code: int, *, reason: str) -> None:
        """A worker ended without finishing; it is replaced after this returns."""


class Executor(Protocol):
    """Runs `work` in `num_workers` places until all have returned."""

    def __call__(self, work: Work, foreman: Foreman, *, num_workers: int) -> None: ...
