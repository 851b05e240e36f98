"""Workers of one call, wherever their processes run: started, polled, replaced, ended.

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
from typing import Any

from seqtune.core.errors import Interrupted, TuningError
from seqtune.core.execution import Process, StudyMonitor, stop_signals

from .child import WorkResult

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
EARLY_SECONDS = 5.0
"""A worker that dies before this cannot have done much: replacing it again will not help."""
MAX_EARLY_DEATHS = 3


class WorkerHandle(ABC):
    """One worker process, as the process that started it sees it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.log_prefix = f"worker {index}: "
        self.started = time.monotonic()
        self.result: WorkResult | None = None
        """None until the worker has reported it."""
        self.kill_reason = ""
        self.process: Process | None = None
        """None as long as there is no process."""

    @property
    def exit_code(self) -> int:
        """Of an ended process; 0 where it cannot be known."""
        return 0

    @abstractmethod
    def is_alive(self) -> bool: ...

    @abstractmethod
    def poll(self) -> None:
        """Receive the messages that have arrived."""

    @abstractmethod
    def request_stop(self) -> None: ...

    @abstractmethod
    def kill(self, reason: str = "") -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Clean up after an ended process."""

    @abstractmethod
    def describe_death(self) -> str: ...

    def receive(self, message: WorkResult | logging.LogRecord) -> None:
        """Keep a result; pass a log record to the loggers of this process."""
        if isinstance(message, WorkResult):
            self.result = message
            return
        target = logging.getLogger(message.name)
        if target.isEnabledFor(message.levelno):
            message.msg = f"{self.log_prefix}{message.msg}"
            target.handle(message)


class WorkerBackend(ABC):
    """Starts workers of one kind."""

    @abstractmethod
    def start(self, index: int) -> WorkerHandle: ...

    @abstractmethod
    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> None:
        """Wait until one of them ends or sends something, but not longer than `seconds`."""

    def count_wanted(self, _workers: Sequence[WorkerHandle], num_workers: int) -> int:
        """Return how many workers there should be now; raise if none can ever be placed."""
        return num_workers


class WorkerPool:
    """All workers of one call."""

    def __init__(
        self,
        backend: WorkerBackend,
        monitor: StudyMonitor,
        *,
        num_workers: int,
        grace_seconds: float,
    ) -> None:
        self._backend = backend
        self._monitor = monitor
        self._num_workers = num_workers
        self._grace_seconds = grace_seconds
        self._workers: list[WorkerHandle] = []
        self._early_deaths = 0

    def run(self) -> None:
        """Return when all workers have returned, or the monitor has stopped them."""
        with _Signals() as signals:
            try:
                self._run(signals)
            finally:
                self._end(signals)
        if signals.received:
            name = signal.Signals(signals.received).name
            raise Interrupted(
                f"stopped by {name}; what was finished is kept, and the next run goes on from it",
                signal_number=signals.received,
            )

    def _run(self, signals: _Signals) -> None:
        self._start(range(self._num_workers))
        checked = time.monotonic()
        while self._workers and not signals.received:
            self._wait(CHECK_SECONDS - (time.monotonic() - checked))
            for worker in self._take_ended():
                self._handle_end(worker, signals)
            if time.monotonic() - checked < CHECK_SECONDS:
                continue
            checked = time.monotonic()
            if self._check_monitor():
                break
            if self._workers:  # a worker that has returned found nothing left to do
                self._grow()

    def _check_monitor(self) -> bool:
        """Kill the workers that the monitor names; return whether all should end."""
        decision = self._monitor.look()
        for worker in self._workers:
            if worker.process is not None and worker.process in decision.kill:
                worker.kill(decision.kill[worker.process])
        if decision.stop:
            logger.info("ending all workers: %s", decision.stop)
        return bool(decision.stop)

    def _grow(self) -> None:
        wanted = self._backend.count_wanted(self._workers, self._num_workers)
        if wanted > self._num_workers:
            logger.info("there is room for %d workers now, %d before", wanted, self._num_workers)
            before, self._num_workers = self._num_workers, wanted
            self._start(range(before, wanted))

    def _start(self, indices: Sequence[int]) -> None:
        for index in indices:
            self._workers.append(self._backend.start(index))

    def _wait(self, seconds: float) -> None:
        self._backend.wait(self._workers, max(0.0, seconds))
        for worker in self._workers:
            worker.poll()

    def _take_ended(self) -> list[WorkerHandle]:
        ended = [worker for worker in self._workers if not worker.is_alive()]
        self._workers = [worker for worker in self._workers if worker not in ended]
        for worker in ended:
            worker.close()
        return ended

    def _handle_end(self, worker: WorkerHandle, signals: _Signals) -> None:
        """Replace a worker that died; raise the error of one that failed."""
        status = worker.result.status if worker.result else "died"
        if status == "done" or signals.received:
            return
        if worker.result and status != "interrupted":
            raise worker_error(worker.result, f"worker {worker.index}")
        if status == "died" and worker.process is not None:
            reason = worker.kill_reason or worker.describe_death()
            self._monitor.lost(worker.process, worker.exit_code, reason=reason)
        if not worker.kill_reason:
            self._count_death(worker)
        self._start([worker.index])

    def _count_death(self, worker: WorkerHandle) -> None:
        is_early = time.monotonic() - worker.started < EARLY_SECONDS
        self._early_deaths = self._early_deaths + 1 if is_early else 0
        if self._early_deaths > MAX_EARLY_DEATHS:
            raise TuningError(
                f"{self._early_deaths} workers in a row died within {EARLY_SECONDS:.0f} seconds of "
                f"their start; of the last one, {worker.describe_death()}. Their own messages, if "
                f"any, are above. Free memory, or run fewer workers (now {self._num_workers})"
            )

    def _end(self, signals: _Signals) -> None:
        """Ask all workers to stop; kill the rest after the grace period or a second signal."""
        for worker in self._workers:
            worker.request_stop()
        deadline = time.monotonic() + self._grace_seconds
        while self._workers and not signals.is_urgent and time.monotonic() < deadline:
            self._wait(min(CHECK_SECONDS, deadline - time.monotonic()))
            self._take_ended()
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.close()
        self._workers = []


class _Signals:
    """Records stop signals instead of being interrupted by them."""

    def __init__(self) -> None:
        self.received = 0
        """Number of the first signal."""
        self.is_urgent = False
        """A second one has arrived."""

    def __enter__(self) -> _Signals:
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._handle) for number in stop_signals()
            }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.is_urgent = bool(self.received)
        self.received = self.received or number


def worker_error(result: WorkResult, name: str) -> Exception:
    """Return the error of a worker in a form that this process can raise."""
    return result.error or RuntimeError(f"{name} failed\n{result.traceback}")
