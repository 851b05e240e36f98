"""Tells every sink, and goes on without those that fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from seqtune.core.secrets import mask

from .records import End, Record
from .silence_mlflow import quietly

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """One place that hears of a run."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def switch(self) -> str:
        """The parameter that switches it off."""

    def log(self, records: Sequence[Record]) -> None:
        """Write down; records of one call belong together."""

    def close(self, end: End, reason: str, /) -> None:
        """The run is over. Called once, and not after a failure."""

    def abandon(self) -> None:
        """It failed: end what can be ended, without asking for much."""


class Tracker:
    """All sinks of one run."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = list(sinks)

    @property
    def is_on(self) -> bool:
        return bool(self._sinks)

    def log(self, *records: Record) -> None:
        self._tell(lambda sink: sink.log(records))

    def close(self, end: End, reason: str = "") -> None:
        self._tell(lambda sink: sink.close(end, reason))
        self._sinks.clear()

    def give_up(self, error: BaseException) -> None:
        """What was to be told could not be put together: nothing is tracked any more."""
        if self._sinks:
            warn("Tracking", error, switch="tracking.mlflow=false")
        for sink in self._sinks:
            _quietly(sink.abandon)
        self._sinks.clear()

    def _tell(self, what: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            try:
                with quietly():
                    what(sink)
            except Exception as error:  # noqa: BLE001  # whatever it is, the run is worth more
                self._sinks.remove(sink)
                warn(sink.name, error, switch=sink.switch)
                _quietly(sink.abandon)


def warn(name: str, error: BaseException, *, switch: str) -> None:
    """The one thing that is said of a sink that failed."""
    told = next((line for line in str(error).splitlines() if line.strip()), "")
    kind = type(error).__name__
    logger.warning(
        "%s is left out for the rest of this run: %s%s. The run goes on, and its results are in "
        "the catalog all the same. To switch it off: --params %s",
        name,
        kind,
        f", {mask(told)[:800]}" if told else "",
        switch,
    )
    logger.debug("the error in full", exc_info=error)


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception as error:  # it has failed already, and said so
        logger.debug("could not be ended", exc_info=error)
