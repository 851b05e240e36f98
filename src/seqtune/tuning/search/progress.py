"""Show the progress of a study: one bar on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from seqtune.core.format import format_duration, format_value
from seqtune.core.trials import Params, Trial

from ..studies.records import Counts

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 1.0
SHOWN_PARAMS = 6


@dataclass(frozen=True)
class SearchStatus:
    """The status of a study at one moment."""

    total: int
    counts: Counts
    best: Trial | None
    seconds_left: float | None
    """None until a trial has finished."""


class ProgressView(Protocol):
    """Shows the status of a study."""

    def show(self, status: SearchStatus, ended: Sequence[Trial]) -> None:
        """Show the status; `ended` are the trials that ended since the last call."""

    def close(self) -> None:
        """Show what is left, as the last call."""


def view_of(name: str, *, enabled: bool = True) -> ProgressView:
    """Make a bar if standard error is a terminal, else plain lines, or nothing."""
    if not enabled:
        return NoProgress()
    return SearchBar(name) if sys.stderr.isatty() else SearchLines()


class NoProgress:
    """Shows nothing."""

    def show(self, status: SearchStatus, ended: Sequence[Trial]) -> None:
        del status, ended

    def close(self) -> None:
        pass


class SearchLines:
    """Logs a line when a trial has ended; trials of the same second share one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = -float("inf")
        self._waiting: list[Trial] = []
        self._status: SearchStatus | None = None

    def show(self, status: SearchStatus, ended: Sequence[Trial]) -> None:
        self._status = status
        self._waiting += ended
        if self._clock() >= self._next:
            self.close()

    def close(self) -> None:
        if not self._waiting or self._status is None:
            return
        *others, last = self._waiting
        more = f" (and {len(others)} more)" if others else ""
        logger.info("%s%s; %s", trial_text(last), more, status_text(self._status))
        self._waiting = []
        self._next = self._clock() + SECONDS_BETWEEN_LINES


class SearchBar:
    """One bar over the finished trials, with best value, counts and time left beside it."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
            console=console or Console(stderr=True),
            refresh_per_second=4,
        )
        self._task = self._progress.add_task(name, total=1, status="")

    def show(self, status: SearchStatus, ended: Sequence[Trial]) -> None:
        del ended
        self._progress.update(
            self._task,
            total=status.total,
            completed=min(status.counts.finished, status.total),
            status=status_text(status, with_total=False),
        )
        self._progress.start()  # not before there is something to show

    def close(self) -> None:
        self._progress.stop()


def trial_text(trial: Trial) -> str:
    """Describe a trial: number, state, score or reason, and its parameters."""
    parts = [f"trial {trial.number} {trial.state}"]
    if trial.score is not None:
        parts.append(f"at {trial.score:.5g}")
    if trial.reason:
        parts.append(f"({trial.reason.partition(chr(10))[0]})")
    parts.append(f"with {params_text(trial.params)}")
    return " ".join(parts)


def params_text(params: Params) -> str:
    """Show the last part of each key with its value, shortened."""
    pairs = [f"{key.rpartition('.')[2]}={format_value(value)}" for key, value in params.items()]
    shown = pairs if len(pairs) <= SHOWN_PARAMS else [*pairs[:SHOWN_PARAMS], "..."]
    return ", ".join(shown) or "no parameters"


def status_text(status: SearchStatus, *, with_total: bool = True) -> str:
    """Describe best value, counts and the time left."""
    counts = status.counts
    parts = []
    if with_total:
        parts.append(f"{counts.finished} of {status.total} finished")
    if status.best is not None and status.best.score is not None:
        parts.append(f"best {status.best.score:.5g} in trial {status.best.number}")
    numbers = {state: getattr(counts, state) for state in ("pruned", "infeasible", "failed")}
    parts += [f"{number} {state}" for state, number in numbers.items() if number]
    if (left := status.seconds_left or 0.0) > 0:  # below 0 once a stage's time is up
        parts.append(f"about {format_duration(left)} left")
    return ", ".join(parts)
