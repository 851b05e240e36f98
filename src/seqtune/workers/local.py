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
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TypeVar

from typing_extensions import override

from seqtune.core.execution import Process, StudyMonitor, Work

from .child import STOP_SIGNALS, Assignment, kill_group, run
from .gpus import gpu_of, visible_gpus
from .pool import WorkerBackend, WorkerHandle, WorkerPool
from .relocatable_pickle import seal

HandT = TypeVar("HandT", bound="LocalWorkerHandle")


def run_local(
    work: Work,
    foreman: StudyMonitor,
    *,
    num_workers: int,
    most: int | None = None,  # noqa: ARG001 - this machine does not grow
    preload: Sequence[str] = (),
    grace_seconds: float = 30.0,
) -> None:
    """Run `work` in processes of their own until all have returned.

    `preload` names modules that are imported once for all workers, where the system can fork;
    they must not touch CUDA. `grace_seconds` is what workers get to end in good order.
    """
    yard = _LocalBackend(work, num_workers, worker_context(preload))
    WorkerPool(yard, foreman, num_workers=num_workers, grace_seconds=grace_seconds).work()


def worker_context(preload: Sequence[str]) -> BaseContext:
    """How worker processes are started: from one that has imported what they need, if it can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def start_local_worker(assignment: Assignment, context: BaseContext, hand: type[HandT]) -> HandT:
    """A worker process of this machine, in the charge of such a hand."""
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(  # type: ignore[attr-defined]
        target=run, args=(assignment, writer), name=f"worker {assignment.index}"
    )
    with _signals_blocked():
        process.start()
    writer.close()
    return hand(assignment.index, process, reader)


class LocalWorkerHandle(WorkerHandle):
    """A process of this machine."""

    def __init__(self, index: int, process: BaseProcess, messages: Connection) -> None:
        super().__init__(index)
        self._process = process
        self._messages = messages

    @property
    @override
    def process(self) -> Process:
        return Process(self._pid, socket.gethostname())

    @property
    @override
    def exit_code(self) -> int:
        return self._process.exitcode or 0

    @property
    def signs(self) -> list[Connection | int]:
        """What `multiprocessing.connection.wait` takes: its end, and words of it."""
        return [self._process.sentinel, *([] if self.ended else [self._messages])]

    @property
    def _pid(self) -> int:
        return self._process.pid or 0

    @override
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @override
    def listen(self) -> None:
        try:
            while self._messages.poll():
                self.hear(self._messages.recv())
        except (EOFError, OSError, pickle.UnpicklingError):
            return  # it died, perhaps in the middle of a word

    @override
    def ask_to_end(self) -> None:
        if self._process.is_alive():
            self._process.terminate()

    @override
    def kill(self, reason: str = "") -> None:
        self.killed_for = self.killed_for or reason
        if self._process.is_alive():
            self._process.kill()
        kill_group(self._pid)

    @override
    def close(self) -> None:
        self._process.join()
        self.listen()
        kill_group(self._pid)
        self._messages.close()

    @override
    def describe_death(self) -> str:
        if self.killed_for:
            return self.killed_for
        code = self.exit_code
        if code >= 0:
            return f"its process ended with exit code {code} and said nothing"
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
            gpu=gpu_of(index, self._gpus),
            pin_gpu=len(self._gpus) > 1,
            environment=dict(os.environ),
            log_level=logging.getLogger("seqtune").getEffectiveLevel(),
        )
        return start_local_worker(assignment, self._context, LocalWorkerHandle)

    @override
    def wait(self, hands: Sequence[WorkerHandle], seconds: float) -> None:
        signs = [
            sign for hand in hands if isinstance(hand, LocalWorkerHandle) for sign in hand.signs
        ]
        wait(signs, timeout=seconds)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A new process starts with the signals blocked, until it has handlers of its own.

    So does a fork server that is started here, and what anybody starts from it: a signal to all
    processes of a job (`scancel`) does not end it while workers still have to tell how they ended.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
