"""`run_local`: an Executor with processes of this machine.

    run_local(work, foreman, num_workers=4)
    partial(run_local, preload=("torch",))       # an Executor whose workers share one import

A worker that dies is replaced; one that fails ends the others, and its error is raised here. The
first SIGINT or SIGTERM asks all workers to end and raises Interrupted, the second kills them. If
this process is killed, its workers end too.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import FrameType

from seqtune.contracts import errors
from seqtune.contracts.errors import Interrupted, SeqtuneError, TuningError
from seqtune.contracts.work import Foreman, Work

from .child import STOP_SIGNALS, Assignment, Ended, kill_group, run
from .gpus import gpu_of, visible_gpus

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
YOUNG_SECONDS = 5.0
"""A worker that dies before cannot have got far: more of them will not help."""
MAX_YOUNG_DEATHS = 3


def run_local(
    work: Work,
    foreman: Foreman,
    *,
    num_workers: int,
    preload: Sequence[str] = (),
    grace_seconds: float = 30.0,
) -> None:
    """Run `work` in processes of their own until all have returned.

    `preload` names modules that are imported once for all workers, where the system can fork;
    they must not touch CUDA. `grace_seconds` is what workers get to end in good order.
    """
    crew = _Crew(work, foreman, num_workers, worker_context(preload), grace_seconds)
    with _Signals() as signals:
        try:
            crew.run(signals)
        finally:
            crew.end(signals)
    if signals.received:
        raise _interrupted(signals.received)


def worker_context(preload: Sequence[str]) -> BaseContext:
    """How worker processes are started: from one that has imported what they need, if it can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def _interrupted(number: int) -> Interrupted:
    name = signal.Signals(number).name
    return Interrupted(
        f"stopped by {name}; what was finished is kept, and the next run goes on from it",
        signal_number=number,
    )


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


@dataclass(eq=False)
class _Worker:
    """A worker process as its parent sees it."""

    index: int
    process: BaseProcess
    messages: Connection
    started: float = field(default_factory=time.monotonic)
    ended: Ended | None = None
    killed_for: str = ""

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    @property
    def is_young(self) -> bool:
        return time.monotonic() - self.started < YOUNG_SECONDS

    def listen(self) -> None:
        """Take what it has said so far."""
        try:
            while self.messages.poll():
                self._hear(self.messages.recv())
        except (EOFError, OSError, pickle.UnpicklingError):
            return  # it died, perhaps in the middle of a word

    def _hear(self, message: Ended | logging.LogRecord) -> None:
        if isinstance(message, Ended):
            self.ended = message
            return
        target = logging.getLogger(message.name)
        if target.isEnabledFor(message.levelno):
            message.msg = f"worker {self.index}: {message.msg}"
            target.handle(message)

    def ask_to_end(self) -> None:
        if self.process.is_alive():
            self.process.terminate()

    def kill(self, reason: str = "") -> None:
        self.killed_for = self.killed_for or reason
        if self.process.is_alive():
            self.process.kill()
        kill_group(self.pid)

    def close(self) -> None:
        """What is left of an ended process."""
        self.process.join()
        self.listen()
        kill_group(self.pid)
        self.messages.close()

    def describe_death(self) -> str:
        if self.killed_for:
            return self.killed_for
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process ended with exit code {code} and said nothing"
        name = signal.strsignal(-code) or "unknown"
        hint = "; the system does so when memory runs out" if code == -9 else ""
        return f"its process was ended by signal {-code} ({name}){hint}"


class _Crew:
    """All workers of one call."""

    def __init__(
        self,
        work: Work,
        foreman: Foreman,
        num_workers: int,
        context: BaseContext,
        grace_seconds: float,
    ) -> None:
        self._work = pickle.dumps(work)
        self._foreman = foreman
        self._num_workers = num_workers
        self._context = context
        self._grace_seconds = grace_seconds
        self._gpus = visible_gpus()
        self._workers: list[_Worker] = []
        self._young_deaths = 0

    def run(self, signals: _Signals) -> None:
        """Until all have returned, or somebody wants an end."""
        for index in range(self._num_workers):
            self._start(index)
        looked = time.monotonic()
        while self._workers and not signals.received:
            self._wait(LOOK_SECONDS - (time.monotonic() - looked))
            for worker in self._take_ended():
                self._settle(worker, signals)
            if time.monotonic() - looked < LOOK_SECONDS:
                continue
            looked = time.monotonic()
            verdict = self._foreman.look()
            for worker in self._workers:
                if worker.pid in verdict.kill:
                    worker.kill(verdict.kill[worker.pid])
            if verdict.stop:
                logger.info("ending all workers: %s", verdict.stop)
                break

    def _start(self, index: int) -> None:
        reader, writer = self._context.Pipe(duplex=False)
        assignment = Assignment(
            work=self._work,
            index=index,
            num_workers=self._num_workers,
            gpu=gpu_of(index, self._gpus),
            pin_gpu=len(self._gpus) > 1,
            environment=dict(os.environ),
            log_level=logging.getLogger("seqtune").getEffectiveLevel(),
        )
        process = self._context.Process(  # type: ignore[attr-defined]
            target=run, args=(assignment, writer), name=f"worker {index}"
        )
        with _signals_blocked():
            process.start()
        writer.close()
        self._workers.append(_Worker(index, process, reader))

    def _wait(self, seconds: float) -> None:
        """Until a worker ends or says something, but not longer."""
        sentinels = [worker.process.sentinel for worker in self._workers]
        speaking = [worker.messages for worker in self._workers if not worker.ended]
        wait([*sentinels, *speaking], timeout=max(0.0, seconds))
        for worker in self._workers:
            worker.listen()

    def _take_ended(self) -> list[_Worker]:
        ended = [worker for worker in self._workers if not worker.process.is_alive()]
        self._workers = [worker for worker in self._workers if worker not in ended]
        for worker in ended:
            worker.close()
        return ended

    def _settle(self, worker: _Worker, signals: _Signals) -> None:
        """Replace one that died, raise the error of one that failed."""
        how = worker.ended.how if worker.ended else "died"
        if how == "done" or signals.received:
            return
        if worker.ended and how != "interrupted":
            raise _error_of(worker.ended, worker)
        if how == "died":
            code = worker.process.exitcode or 0
            self._foreman.lost(worker.pid, code, reason=worker.describe_death())
        self._count_death(worker)
        self._start(worker.index)

    def _count_death(self, worker: _Worker) -> None:
        if worker.killed_for:
            return
        self._young_deaths = self._young_deaths + 1 if worker.is_young else 0
        if self._young_deaths > MAX_YOUNG_DEATHS:
            raise TuningError(
                f"{self._young_deaths} workers in a row died within {YOUNG_SECONDS:.0f} seconds of "
                f"their start; of the last one, {worker.describe_death()}. Their own words, if "
                f"any, stand above. Free memory, or run fewer workers (now {self._num_workers})"
            )

    def end(self, signals: _Signals) -> None:
        """Ask all to end; kill those that have not after the grace or at a second signal."""
        for worker in self._workers:
            worker.ask_to_end()
        deadline = time.monotonic() + self._grace_seconds
        while self._workers and not signals.is_urgent and time.monotonic() < deadline:
            self._wait(min(LOOK_SECONDS, deadline - time.monotonic()))
            self._take_ended()
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.close()
        self._workers = []


def _error_of(ended: Ended, worker: _Worker) -> Exception:
    """The error of a worker, as this process can raise it."""
    if ended.how == "failed":
        return RuntimeError(f"worker {worker.index} failed\n{ended.message}")
    kind = getattr(errors, ended.error)
    try:
        error: SeqtuneError = kind(ended.message)
    except TypeError:  # a class that wants more than a message
        return SeqtuneError(ended.message)
    return error


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A new process starts with the signals blocked, until it has handlers of its own."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
