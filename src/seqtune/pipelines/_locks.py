"""Locks on files that several processes ask for: whoever comes second waits.

They end with the process that holds them, however that ends.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL)
"""What a file system says that has none; everybody goes on there."""


@contextmanager
def locked(file: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock, after waiting for it: alone, or together with others that share it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as opened:
        _lock(opened, shared=shared, wait=True)
        yield


@contextmanager
def locked_at_once(file: Path) -> Iterator[bool]:
    """The lock alone, or False where somebody else holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as opened:
        yield _lock(opened, shared=False, wait=False)


def _lock(file: IO[str], *, shared: bool, wait: bool) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True
