"""Stop by a signal: the first signal asks, the second kills."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawValue
from types import FrameType

from seqtune.core.execution import no_stop_signal, stop_signals


class StopRequest:
    """Remembers the first signal, also across the processes that a strategy starts.

    `elsewhere` returns the signal that an external launcher received.
    """

    def __init__(self, elsewhere: Callable[[], int] = no_stop_signal) -> None:
        self._number = RawValue("i", 0)
        self._launcher = os.getpid()
        self._elsewhere = elsewhere

    @property
    def signal_number(self) -> int:
        """The first signal received; 0: none."""
        return int(self._number.value) or self._elsewhere()

    def install(self) -> None:
        """Handle the signals from now on, even if the parent process had blocked them; do nothing
        outside of the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                signal.signal(number, self._handle)
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals; restore the handlers afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in stop_signals()}
        self.install()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._launcher:  # a spawned rank: its launcher tells it, unless it died
            if os.getppid() != self._launcher:
                os._exit(1)
            return
        if self.signal_number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._number.value = number
