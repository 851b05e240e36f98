"""Atomic writes of files and folders, and locks that end with their process."""

from __future__ import annotations

import atexit
import errno
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from .errors import StorageError

PARTIAL = ".partial"
CLAIMED = "node-"
VERSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z")
"""The name that Kedro gives to the folder of a version."""
POLL_SECONDS = 0.05
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EINVAL)
"""Errors of a file system without locks, where every process continues."""
_CLAIMS = ExitStack()
atexit.register(_CLAIMS.close)  # while modules still exist


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to it once written."""
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        publish_file(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def reset_permissions(path: Path) -> None:
    """Give a file or folder those of any new one: safetensors and tempfile let the owner alone
    read it."""
    new = path.with_name(f".{path.name}{PARTIAL}")
    create, delete = (Path.mkdir, Path.rmdir) if path.is_dir() else (Path.touch, Path.unlink)
    create(new)
    try:
        shutil.copymode(new, path)
    finally:
        delete(new)


def publish_file(partial: Path, path: Path) -> None:
    """Rename a finished file so that it survives a loss of power."""
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def publish(made: Path, target: Path) -> None:
    """Move a finished file or folder to a free name, also from another file system."""
    make_folder(target.parent)
    staged = target.with_name(f".{target.name}{PARTIAL}")
    remove(staged)
    shutil.move(made, staged)
    for path in (*staged.rglob("*"), staged):
        sync(path)
    staged.rename(target)
    sync(target.parent)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it; say what is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        obstacle = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        kind = "a link that leads nowhere" if not obstacle.exists() else "a file"
        raise StorageError(
            f"{obstacle} is {kind}, where a folder is needed; move it away, or set `data` and "
            "`scratch` in conf/local/globals.yml to other folders"
        ) from error


def is_version(name: str) -> bool:
    return VERSION.fullmatch(name) is not None


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def claim_folder(parent: Path, name: str, claims: ExitStack = _CLAIMS) -> Path:
    """Make a fresh folder that `remove_abandoned` spares until `claims` or this process ends."""
    with lock(parent):
        folder = Path(tempfile.mkdtemp(prefix=f"{CLAIMED}{name}-", dir=parent))
        reset_permissions(folder)
        claims.enter_context(lock(folder))
    return folder


@contextmanager
def claimed_folder(parent: Path, name: str) -> Iterator[Path]:
    """Make a claimed folder, and remove it at the end."""
    with ExitStack() as claims:
        folder = claim_folder(parent, name, claims)
        claims.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def remove_abandoned(parent: Path) -> None:
    """Remove the claimed folders of processes that have ended; none where locks do not work."""
    with lock(parent), lock(parent, wait_seconds=0) as has_no_locks:
        for folder in () if has_no_locks else parent.glob(f"{CLAIMED}*"):
            with lock(folder, wait_seconds=0) as is_abandoned:
                if is_abandoned:
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lock(path: Path, *, shared: bool = False, wait_seconds: float = math.inf) -> Iterator[bool]:
    """Lock a file or a folder; yield False if another process still holds it after the wait.

    The lock ends with the process, however that ends. Several processes can hold a `shared` one.
    """
    flags = os.O_RDONLY
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT  # NFS locks only what is open for writing
    descriptor = os.open(path, flags, 0o666)
    try:
        yield _acquire(descriptor, shared, time.monotonic() + wait_seconds)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, shared: bool, deadline: float) -> bool:
    attempt = _share_descriptor if shared else partial(lock_descriptor, blocking=False)
    try:
        while not attempt(descriptor):
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def _share_descriptor(descriptor: int) -> bool:
    """Take a shared lock; filelock has one over SQLite only, whose wait no signal interrupts."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def has_magic(folder: Path) -> bool:
    """Whether a path has characters with a meaning in patterns or templates."""
    return bool(set(str(folder)) & set("*?[]{}$"))


def plain_path(folder: Path) -> Path:
    """Return a path without such characters: where there are some, a link that is the same in
    every run."""
    if not has_magic(folder):
        return folder
    parent = Path(tempfile.gettempdir(), f"seqtune-{os.getuid()}")
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.stat().st_uid != os.getuid():
        raise PermissionError(errno.EACCES, "belongs to somebody else", str(parent))
    link = parent / sha256(os.fsencode(folder)).hexdigest()[:16]
    with suppress(FileExistsError):  # of an earlier run
        link.symlink_to(folder)
    return link
