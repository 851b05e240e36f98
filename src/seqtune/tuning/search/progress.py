"""What a person sees while a study runs: one bar on a terminal, a line for each trial elsewhere."""

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
    """How a study stands at one moment."""

    total: int
    counts: Counts
    best: Trial | None
    seconds_left: float | None
    """None until a trial has finished."""


class ProgressView(Protocol):
    """Shows how a study stands."""

    def show(self, standing: SearchStatus, ended: Sequence[Trial]) -> None:
        """`ended`: trials that ended since it was last called."""

    def close(self) -> None:
        """Show what is still to be shown; nothing comes after it."""


def view_of(name: str, *, enabled: bool = True) -> ProgressView:
    """A bar where standard error is a terminal, plain lines elsewhere, or nothing."""
    if not enabled:
        return NoProgress()
    return SearchBar(name) if sys.stderr.isatty() else SearchLines()


class NoProgress:
    """Shows nothing."""

    def show(self, standing: SearchStatus, ended: Sequence[Trial]) -> None:
        del standing, ended

    def close(self) -> None:
        """Nothing is left to show."""


class SearchLines:
    """A log line when a trial has ended; those that end within a second share one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = -float("inf")
        self._waiting: list[Trial] = []
        self._standing: SearchStatus | None = None

    def show(self, standing: SearchStatus, ended: Sequence[Trial]) -> None:
        self._standing = standing
        self._waiting += ended
        if self._clock() >= self._next:
            self._say()

    def close(self) -> None:
        self._say()

    def _say(self) -> None:
        if not self._waiting or self._standing is None:
            return
        *others, last = self._waiting
        more = f" (and {len(others)} more)" if others else ""
        logger.info("%s%s; %s", trial_text(last), more, standing_text(self._standing))
        self._waiting = []
        self._next = self._clock() + SECONDS_BETWEEN_LINES


class SearchBar:
    """One bar over the finished trials, with what else there is to know beside it."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[standing]}"),
            console=console or Console(stderr=True),
            refresh_per_second=4,
        )
        self._task = self._progress.add_task(name, total=1, standing="")

    def show(self, standing: SearchStatus, ended: Sequence[Trial]) -> None:
        del ended
        self._progress.update(
            self._task,
            total=standing.total,
            completed=min(standing.counts.finished, standing.total),
            standing=standing_text(standing, with_total=False),
        )
        self._progress.start()  # once; not before there is something to show

    def close(self) -> None:
        self._progress.stop()


def trial_text(trial: Trial) -> str:
    """Number, state, value or reason, and the values that were tried."""
    parts = [f"trial {trial.number} {trial.state}"]
    if trial.score is not None:
        parts.append(f"at {trial.score:.5g}")
    if trial.reason:
        parts.append(f"({trial.reason.partition(chr(10))[0]})")
    parts.append(f"with {params_text(trial.params)}")
    return " ".join(parts)


def params_text(params: Params) -> str:
    """The last part of each key and its value, shortened."""
    shown = [
        f"{key.rpartition('.')[2]}={format_value(value)}"
        for key, value in list(params.items())[:SHOWN_PARAMS]
    ]
    return ", ".join([*shown, *(["..."] if len(params) > SHOWN_PARAMS else [])]) or "no parameters"


def standing_text(standing: SearchStatus, *, with_total: bool = True) -> str:
    """Best value, counts and the time left."""
    counts = standing.counts
    parts = []
    if with_total:
        parts.append(f"{counts.finished} of {standing.total} finished")
    if standing.best is not None and standing.best.score is not None:
        parts.append(f"best {standing.best.score:.5g} in trial {standing.best.number}")
    for word in ("pruned", "infeasible", "failed"):
        number = getattr(counts, word)
        if number:
            parts.append(f"{number} {word}")
    if standing.seconds_left is not None:
        parts.append(f"about {format_duration(standing.seconds_left)} left")
    return ", ".join(parts)
