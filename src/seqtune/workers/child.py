"""The worker's side: what happens in its process around the work.

A worker leads a process group of its own. A terminal's Ctrl-C therefore reaches the parent alone,
which asks every worker exactly once, and all processes that the work has started (loaders, ranks)
can be ended together with it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from logging.handlers import QueueHandler
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Literal, NamedTuple

from typing_extensions import override

from seqtune.core.errors import Interrupted, SeqtuneError
from seqtune.core.execution import Work, WorkerInfo, stop_signals

from .gpus import VARIABLE
from .relocatable_pickle import RelocatablePickle

INTERRUPTED_EXIT_CODE = 128 + signal.SIGTERM
FAILED_EXIT_CODE = 1


class WorkResult(NamedTuple):
    """How the work ended: the last message of a worker."""

    status: Literal["done", "interrupted", "refused", "failed"]
    """refused: a SeqtuneError; failed: any other exception."""
    error: SeqtuneError | None = None
    traceback: str = ""
    """Of any other exception."""


@dataclass(frozen=True)
class Assignment:
    """Everything that a worker process is started with."""

    work: RelocatablePickle
    index: int
    num_workers: int
    gpu: str | None
    pin_gpu: bool
    """Hide the other GPUs from the process."""
    environment: Mapping[str, str]
    """The parent's current one; a fork server has that of its own start."""
    log_level: int


def run(assignment: Assignment, parent: Connection) -> None:
    """Do the work and report to the parent how it ended."""
    _prepare(assignment)
    result = _attempt(assignment, parent)
    try:
        parent.send(result)
    except OSError:
        os._exit(FAILED_EXIT_CODE)  # the parent is gone
    if result.status != "done":
        sys.exit(INTERRUPTED_EXIT_CODE if result.status == "interrupted" else FAILED_EXIT_CODE)


def _prepare(assignment: Assignment) -> None:
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    os.environ.update(assignment.environment)
    if assignment.pin_gpu and assignment.gpu is not None:
        os.environ[VARIABLE] = assignment.gpu
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it and sends SIGTERM
    signal.signal(signal.SIGTERM, _interrupt)
    # loaders that the work starts are forked from it, not from our fork server, and end with it
    multiprocessing.set_start_method(None, force=True)


def _attempt(assignment: Assignment, parent: Connection) -> WorkResult:
    try:
        if hasattr(signal, "pthread_sigmask"):  # blocked since the start
            signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())
        work: Work = assignment.work.open()
        _log_to(parent, level=assignment.log_level)  # after imports that may configure logging
        device = "cpu" if assignment.gpu is None else f"gpu {assignment.gpu}"
        name = f"{platform.node()}/{os.getpid()}/{device}"
        work(WorkerInfo(assignment.index, assignment.num_workers, name))
    except Interrupted as error:
        return WorkResult("interrupted", error)
    except SeqtuneError as error:
        return WorkResult("refused", error)
    except Exception:  # noqa: BLE001 - reported to the parent, which raises it
        return WorkResult("failed", traceback=traceback.format_exc())
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the rest takes no time
    return WorkResult("done")


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """End the work in good order at the first signal, the process at the second."""
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted("the worker was asked to stop", signal_number=number)


def end_with_parent() -> None:
    """End this process, and all that it started, as soon as its parent has ended."""
    threading.Thread(target=_wait_for_parent, name="end with parent", daemon=True).start()


def _wait_for_parent() -> None:
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        kill_group(os.getpid())
        os._exit(FAILED_EXIT_CODE)


def kill_group(leader: int) -> None:
    """Kill a worker and the processes that it started, as far as they still run."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nothing is left (PermissionError: of zombies on macOS)


class _ParentLogHandler(QueueHandler):
    """Sends log records to the parent, whose handlers write each once and not over its progress."""

    def __init__(self, parent: Connection) -> None:
        super().__init__(parent)  # type: ignore[arg-type]
        self._parent = parent
        self._process = os.getpid()

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        if os.getpid() == self._process:  # not from processes that the work has forked
            self._parent.send(record)

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore a parent that is gone; the worker is about to end."""


def _log_to(parent: Connection, *, level: int) -> None:
    """Send seqtune's records from the parent's level on, and the warnings of other libraries."""
    root, package = logging.getLogger(), logging.getLogger("seqtune")
    for logger in (root, package):
        logger.handlers.clear()
    root.addHandler(_ParentLogHandler(parent))
    root.setLevel(logging.WARNING)
    package.setLevel(level)
    package.propagate = True
