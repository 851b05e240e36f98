"""Files that exist only when they are complete: written under another name, then renamed."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from seqtune.contracts.errors import StorageError

PARTIAL = ".partial"
LOOK_SECONDS = 0.5


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, bring it to the disk, and rename it."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        write(partial)
        publish(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def publish(partial: Path, path: Path) -> None:
    """Rename a file that was written completely, so that it survives a loss of power."""
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_user_of(directory: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock on a folder, which ends with the process however that ends.

    `wait_seconds` for whoever has it and is about to end.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        lock = partial(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _lock(lock, directory, wait_seconds)
        yield
    finally:
        os.close(descriptor)


def _lock(lock: Callable[[], None], directory: Path, wait_seconds: float) -> None:
    try:
        lock()
    except BlockingIOError as error:
        if wait_seconds > 0:
            time.sleep(LOOK_SECONDS)
            return _lock(lock, directory, wait_seconds - LOOK_SECONDS)
        raise StorageError(
            f"another process is training in {directory}; wait for it to end, or stop it"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL):
            raise  # those mean that this file system has no locks
