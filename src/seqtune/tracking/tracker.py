"""Pass records to all sinks, and drop those that fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from seqtune.core.secrets import mask

from .records import End, Record
from .silence_mlflow import quietly

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """One place to log to."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def switch(self) -> str:
        """The parameter that switches it off."""

    def log(self, records: Sequence[Record]) -> None:
        """Log records that belong together."""

    def close(self, end: End, reason: str, /) -> None:
        """End the run; called once, and not after a failure of this sink."""

    def abandon(self) -> None:
        """End the run as far as possible after a failure of this sink."""


class Tracker:
    """All sinks of one run."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = list(sinks)

    @property
    def is_on(self) -> bool:
        return bool(self._sinks)

    def log(self, *records: Record) -> None:
        self._for_each(lambda sink: sink.log(records))

    def close(self, end: End, reason: str = "") -> None:
        self._for_each(lambda sink: sink.close(end, reason))
        self._sinks.clear()

    def give_up(self, error: BaseException) -> None:
        """Drop all sinks, because the records could not be built."""
        if self._sinks:
            warn("Tracking", error, switch="tracking.mlflow=false")
        for sink in self._sinks:
            _attempt(sink.abandon)
        self._sinks.clear()

    def _for_each(self, call: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            try:
                with quietly():
                    call(sink)
            except Exception as error:  # noqa: BLE001  # no fault may end the run
                self._sinks.remove(sink)
                warn(sink.name, error, switch=sink.switch)
                _attempt(sink.abandon)


def warn(name: str, error: BaseException, *, switch: str) -> None:
    """Log the only message about a sink that failed."""
    message = next((line for line in str(error).splitlines() if line.strip()), "")
    kind = type(error).__name__
    logger.warning(
        "%s is left out for the rest of this run: %s%s. The run goes on, and its results are in "
        "the catalog all the same. To switch it off: --params %s",
        name,
        kind,
        f", {mask(message)[:800]}" if message else "",
        switch,
    )
    logger.debug("the error in full", exc_info=error)


def _attempt(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception as error:  # its first failure has been logged already
        logger.debug("could not be ended", exc_info=error)
