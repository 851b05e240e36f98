"""The worker's side: what happens in its process around the work.

A worker leads a process group of its own. A terminal's Ctrl-C therefore reaches the parent alone,
which asks every worker exactly once; and whatever the work has started (loaders, ranks) can be
ended together with it.
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
from seqtune.core.execution import Work, WorkerInfo

from .gpus import VARIABLE
from .relocatable_pickle import RelocatablePickle

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED_EXIT_CODE = 128 + signal.SIGTERM
FAILED_EXIT_CODE = 1


class WorkResult(NamedTuple):
    """How the work ended: the last thing that a worker says."""

    how: Literal["done", "interrupted", "refused", "failed"]
    """refused: a SeqtuneError; failed: any other exception."""
    error: SeqtuneError | None = None
    traceback: str = ""
    """Of any other exception."""


@dataclass(frozen=True)
class Assignment:
    """What a worker process is started with."""

    work: RelocatablePickle
    index: int
    num_workers: int
    gpu: str | None
    pin_gpu: bool
    """Make it the only one that the process sees."""
    environment: Mapping[str, str]
    """What differs here: the parent's of now, where a fork server has that of its own start."""
    log_level: int


def run(assignment: Assignment, parent: Connection) -> None:
    """Do the work and tell the parent how it ended."""
    _prepare(assignment)
    ended = _attempt(assignment, parent)
    try:
        parent.send(ended)
    except OSError:
        os._exit(FAILED_EXIT_CODE)  # nobody is left to hear it
    if ended.how != "done":
        sys.exit(INTERRUPTED_EXIT_CODE if ended.how == "interrupted" else FAILED_EXIT_CODE)


def _prepare(assignment: Assignment) -> None:
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    os.environ.update(assignment.environment)
    if assignment.pin_gpu and assignment.gpu is not None:
        os.environ[VARIABLE] = assignment.gpu
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and asks by SIGTERM
    signal.signal(signal.SIGTERM, _interrupt)
    # loaders that the work starts are forked from it, not from our fork server, and end with it
    multiprocessing.set_start_method(None, force=True)


def _attempt(assignment: Assignment, parent: Connection) -> WorkResult:
    try:
        if hasattr(signal, "pthread_sigmask"):  # blocked since the start
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        work: Work = assignment.work.open()
        _log_to(parent, level=assignment.log_level)  # after imports that may configure logging
        work(_place(assignment))
    except Interrupted as error:
        return WorkResult("interrupted", error)
    except SeqtuneError as error:
        return WorkResult("refused", error)
    except Exception:  # noqa: BLE001 - reported to the parent, which raises it
        return WorkResult("failed", traceback=traceback.format_exc())
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left to do takes no time
    return WorkResult("done")


def _place(assignment: Assignment) -> WorkerInfo:
    device = "cpu" if assignment.gpu is None else f"gpu {assignment.gpu}"
    name = f"{platform.node()}/{os.getpid()}/{device}"
    return WorkerInfo(assignment.index, assignment.num_workers, name)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """The first request ends the work in good order, the second the process."""
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted("the worker was asked to stop", signal_number=number)


def _end_with_parent() -> None:
    """Wait until the parent is gone, however it went, and end with all that was started here."""
    parent = parent_process()
    if parent is None:
        return
    wait([parent.sentinel])
    kill_group(os.getpid())
    os._exit(FAILED_EXIT_CODE)


def kill_group(leader: int) -> None:
    """Kill what is left of a worker and of the processes that it started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # nothing is left (PermissionError: of zombies on macOS)


class _ParentLogHandler(QueueHandler):
    """Log lines go through the parent's handlers: in one place, once, and not over its progress."""

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
        """A parent that is gone hears nothing; the worker is about to end."""


def _log_to(parent: Connection, *, level: int) -> None:
    """Ours from the parent's level on, and the warnings of others."""
    root, ours = logging.getLogger(), logging.getLogger("seqtune")
    for logger in (root, ours):
        logger.handlers.clear()
    root.addHandler(_ParentLogHandler(parent))
    root.setLevel(logging.WARNING)
    ours.setLevel(level)
    ours.propagate = True
