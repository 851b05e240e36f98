"""Workers of one call, wherever their processes are: started, listened to, replaced, ended.

`WorkerPool` decides what happens when a worker dies, fails or is asked to stop; a `WorkerHandle`
knows how to reach one kind of process (`local`, `cluster.executor`).
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import FrameType

from seqtune.core.errors import Interrupted, TuningError
from seqtune.core.execution import Process, StudyMonitor

from .child import STOP_SIGNALS, WorkResult

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
YOUNG_SECONDS = 5.0
"""A worker that dies before cannot have got far: more of them will not help."""
MAX_YOUNG_DEATHS = 3


class WorkerHandle(ABC):
    """One worker process as the one who started it sees it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.started = time.monotonic()
        self.ended: WorkResult | None = None
        """What it said last."""
        self.killed_for = ""

    @property
    @abstractmethod
    def process(self) -> Process | None:
        """None as long as there is no process yet."""

    @property
    @abstractmethod
    def exit_code(self) -> int:
        """Of a process that is gone; 0 where nobody can know."""

    @property
    def is_young(self) -> bool:
        return time.monotonic() - self.started < YOUNG_SECONDS

    @abstractmethod
    def is_alive(self) -> bool: ...

    @abstractmethod
    def listen(self) -> None:
        """Take what it has said so far."""

    @abstractmethod
    def ask_to_end(self) -> None: ...

    @abstractmethod
    def kill(self, reason: str = "") -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Clear away what is left of an ended process."""

    @abstractmethod
    def describe_death(self) -> str: ...

    def hear(self, message: WorkResult | logging.LogRecord) -> None:
        """Keep its last word; say what it wants said, once, where this process says things."""
        if isinstance(message, WorkResult):
            self.ended = message
            return
        target = logging.getLogger(message.name)
        if target.isEnabledFor(message.levelno):
            message.msg = f"worker {self.index}: {message.msg}"
            target.handle(message)


class WorkerBackend(ABC):
    """Where hands come from."""

    @abstractmethod
    def start(self, index: int) -> WorkerHandle:
        """A worker on its way."""

    @abstractmethod
    def wait(self, hands: Sequence[WorkerHandle], seconds: float) -> None:
        """Until one of them ends or says something, but not longer."""

    def room_for(self, _hands: Sequence[WorkerHandle], num_workers: int) -> int:
        """How many workers there should be from now on; raises where waiting for room is in
        vain."""
        return num_workers


class WorkerPool:
    """All workers of one call."""

    def __init__(
        self, yard: WorkerBackend, foreman: StudyMonitor, *, num_workers: int, grace_seconds: float
    ) -> None:
        self._yard = yard
        self._foreman = foreman
        self._num_workers = num_workers
        self._grace_seconds = grace_seconds
        self._hands: list[WorkerHandle] = []
        self._young_deaths = 0

    def work(self) -> None:
        """Until all have returned, or somebody wants an end."""
        with _Signals() as signals:
            try:
                self._run(signals)
            finally:
                self._end(signals)
        if signals.received:
            raise interrupted(signals.received)

    def _run(self, signals: _Signals) -> None:
        self._start(range(self._num_workers))
        looked = time.monotonic()
        while self._hands and not signals.received:
            self._wait(LOOK_SECONDS - (time.monotonic() - looked))
            for hand in self._take_ended():
                self._settle(hand, signals)
            if time.monotonic() - looked < LOOK_SECONDS:
                continue
            looked = time.monotonic()
            if self._look():
                break

    def _look(self) -> bool:
        """See to everything that is not a word of a worker; whether all should end."""
        verdict = self._foreman.look()
        for hand in self._hands:
            if hand.process is not None and hand.process in verdict.kill:
                hand.kill(verdict.kill[hand.process])
        if verdict.stop:
            logger.info("ending all workers: %s", verdict.stop)
            return True
        if self._hands:
            self._grow()
        return False

    def _grow(self) -> None:
        """Use room that has come since; whoever has returned found nothing left to do."""
        room = self._yard.room_for(self._hands, self._num_workers)
        if room > self._num_workers:
            logger.info("there is room for %d workers now, %d before", room, self._num_workers)
            before, self._num_workers = self._num_workers, room
            self._start(range(before, room))

    def _start(self, indices: Sequence[int]) -> None:
        for index in indices:
            self._hands.append(self._yard.start(index))

    def _wait(self, seconds: float) -> None:
        self._yard.wait(self._hands, max(0.0, seconds))
        for hand in self._hands:
            hand.listen()

    def _take_ended(self) -> list[WorkerHandle]:
        ended = [hand for hand in self._hands if not hand.is_alive()]
        self._hands = [hand for hand in self._hands if hand not in ended]
        for hand in ended:
            hand.close()
        return ended

    def _settle(self, hand: WorkerHandle, signals: _Signals) -> None:
        """Replace one that died, raise the error of one that failed."""
        how = hand.ended.how if hand.ended else "died"
        if how == "done" or signals.received:
            return
        if hand.ended and how != "interrupted":
            raise error_of(hand.ended, f"worker {hand.index}")
        if how == "died" and hand.process is not None:
            self._foreman.lost(hand.process, hand.exit_code, reason=hand.describe_death())
        self._count_death(hand)
        self._start([hand.index])

    def _count_death(self, hand: WorkerHandle) -> None:
        if hand.killed_for:
            return
        self._young_deaths = self._young_deaths + 1 if hand.is_young else 0
        if self._young_deaths > MAX_YOUNG_DEATHS:
            raise TuningError(
                f"{self._young_deaths} workers in a row died within {YOUNG_SECONDS:.0f} seconds of "
                f"their start; of the last one, {hand.describe_death()}. Their own words, if "
                f"any, stand above. Free memory, or run fewer workers (now {self._num_workers})"
            )

    def _end(self, signals: _Signals) -> None:
        """Ask all to end; kill those that have not after the grace or at a second signal."""
        for hand in self._hands:
            hand.ask_to_end()
        deadline = time.monotonic() + self._grace_seconds
        while self._hands and not signals.is_urgent and time.monotonic() < deadline:
            self._wait(min(LOOK_SECONDS, deadline - time.monotonic()))
            self._take_ended()
        for hand in self._hands:
            hand.kill()
        for hand in self._hands:
            hand.close()
        self._hands = []


class _Signals:
    """Counts requests to stop instead of being interrupted by them."""

    def __init__(self) -> None:
        self.received = 0
        """Number of the first signal."""
        self.is_urgent = False
        """There was a second one."""

    def __enter__(self) -> _Signals:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.is_urgent = bool(self.received)
        self.received = self.received or number


def interrupted(number: int) -> Interrupted:
    """What is raised once all have ended because of a signal."""
    name = signal.Signals(number).name
    return Interrupted(
        f"stopped by {name}; what was finished is kept, and the next run goes on from it",
        signal_number=number,
    )


def error_of(ended: WorkResult, who: str) -> Exception:
    """The error of a worker, as this process can raise it."""
    return ended.error or RuntimeError(f"{who} failed\n{ended.traceback}")
