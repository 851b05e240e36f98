"""`run_local`: an Executor with processes of this machine.

A worker that dies is replaced; one that fails ends the others, and its error is raised here. The
first signal to stop asks all workers to end and raises Interrupted, the second kills them. If
this process is killed, its workers end too.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TypeVar

from typing_extensions import override

from seqtune.core.execution import Process, StudyMonitor, Work, stop_signals

from .child import Assignment, kill_group, run
from .gpus import pick_gpu, visible_gpus
from .pool import WorkerBackend, WorkerHandle, WorkerPool
from .relocatable_pickle import seal

HandleT = TypeVar("HandleT", bound="LocalWorkerHandle")


def run_local(
    work: Work,
    monitor: StudyMonitor,
    *,
    num_workers: int,
    most: int | None = None,  # noqa: ARG001 - this machine does not grow
    preload: Sequence[str] = (),
    grace_seconds: float = 30.0,
) -> None:
    """Run `work` in `num_workers` processes until all have returned.

    `preload`: modules to import once for all workers where the system can fork; they must not
    touch CUDA. `grace_seconds`: the time that workers get to end in good order.
    """
    backend = _LocalBackend(work, num_workers, worker_context(preload))
    WorkerPool(backend, monitor, num_workers=num_workers, grace_seconds=grace_seconds).run()


def worker_context(preload: Sequence[str]) -> BaseContext:
    """Return a context that forks workers from a process with `preload` imported, if it can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def start_local_worker(
    assignment: Assignment, context: BaseContext, handle: type[HandleT]
) -> HandleT:
    """Start a worker process on this machine and return its handle."""
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(  # type: ignore[attr-defined]
        target=run, args=(assignment, writer), name=f"worker {assignment.index}"
    )
    with _signals_blocked():
        process.start()
    writer.close()
    return handle(assignment.index, process, reader)


class LocalWorkerHandle(WorkerHandle):
    """A process of this machine."""

    def __init__(self, index: int, process: BaseProcess, messages: Connection) -> None:
        super().__init__(index)
        self.process: Process = Process(process.pid or 0, socket.gethostname())
        self._process = process
        self._messages = messages

    @property
    @override
    def exit_code(self) -> int:
        return self._process.exitcode or 0

    @property
    def waitables(self) -> list[Connection | int]:
        """For `multiprocessing.connection.wait`: the end of the process, and its messages."""
        return [self._process.sentinel, *([] if self.result else [self._messages])]

    @override
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @override
    def poll(self) -> None:
        try:
            while self._messages.poll():
                self.receive(self._messages.recv())
        except (EOFError, OSError, pickle.UnpicklingError):
            return  # it died, perhaps in the middle of a message

    @override
    def request_stop(self) -> None:
        if self._process.is_alive():
            self._process.terminate()

    @override
    def kill(self, reason: str = "") -> None:
        self.kill_reason = self.kill_reason or reason
        if self._process.is_alive():
            self._process.kill()
        kill_group(self.process.pid)

    @override
    def close(self) -> None:
        self._process.join()
        self.poll()
        kill_group(self.process.pid)
        self._messages.close()

    @override
    def describe_death(self) -> str:
        code = self.exit_code
        if code >= 0:
            return f"its process ended with exit code {code} and reported nothing"
        name = signal.strsignal(-code) or "unknown"
        hint = "; the system does so when memory runs out" if code == -9 else ""
        return f"its process was ended by signal {-code} ({name}){hint}"


class _LocalBackend(WorkerBackend):
    def __init__(self, work: Work, num_workers: int, context: BaseContext) -> None:
        self._work = seal(work)
        self._num_workers = num_workers
        self._context = context
        self._gpus = visible_gpus()

    @override
    def start(self, index: int) -> LocalWorkerHandle:
        assignment = Assignment(
            work=self._work,
            index=index,
            num_workers=self._num_workers,
            gpu=pick_gpu(index, self._gpus),
            pin_gpu=len(self._gpus) > 1,
            environment=dict(os.environ),
            log_level=logging.getLogger("seqtune").getEffectiveLevel(),
        )
        return start_local_worker(assignment, self._context, LocalWorkerHandle)

    @override
    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> None:
        local = [worker for worker in workers if isinstance(worker, LocalWorkerHandle)]
        wait([each for worker in local for each in worker.waitables], timeout=seconds)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Start new processes with the signals blocked, until they have handlers of their own.

    This includes the fork server: a signal to all processes of a job (`scancel`) must not end it
    while workers still have to report their results.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
