"""Explain storage errors with a next step, and wait for a server that is away."""

from __future__ import annotations

import errno
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from seqtune.core.errors import (
    ArtifactError,
    ConfigurationError,
    SeqtuneError,
    StorageError,
    storage_error,
)

from .storage_url import CREDENTIALS, StorageUrl, backups_of

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")

LOCK_SECONDS = 60
"""How long a writer waits for another one's lock on the SQLite file."""
PATIENCE_SECONDS = 300.0
"""How long a server may be away before a worker gives up."""
FIRST_PATIENCE_SECONDS = 15.0
"""The same for a server that has never answered: its address is probably wrong."""


def check_header(file: Path) -> None:
    """Refuse a file that is not SQLite before anything is written to it.

    Never open() the file: closing it drops the locks of this process's connections, and the next
    worker to leave would then delete the write-ahead log that the others still use.
    """
    if not file.exists():
        return
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(file))
    if not file.stat().st_size:
        if backups_of(file):
            raise damaged(file, "is empty, though it has backups")
        return
    try:
        with _reading(file) as database:
            database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        return  # locked or out of reach: reported when it is opened
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            raise damaged(file, "is not a SQLite file") from error


def check_file(file: Path) -> None:
    """Check the header, every page, and that the file belongs to Optuna."""
    check_header(file)
    if not file.exists() or not file.stat().st_size:
        return
    try:
        with _reading(file) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type='table'")
            tables = {row[0] for row in names}
            verdict = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError as error:
        raise damaged(file, str(error)) from error
    if verdict != "ok":
        raise damaged(file, verdict)
    if tables and "studies" not in tables:
        raise ArtifactError(
            f"{file} is a SQLite file without studies (tables: {', '.join(sorted(tables))}). "
            "Nothing was written to it; give the study a file of its own"
        )


def _reading(file: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True))


def damaged(file: Path, found: str) -> ArtifactError:
    """Make the error for an unreadable study file, with the way back to its newest backup."""
    backups = backups_of(file)
    advice = "there is no backup of it: move it away to begin a new study"
    if backups:
        advice = (
            f"the newest backup is {backups[-1]}: move the damaged file away together with "
            f"{file.name}-wal and {file.name}-shm, copy the backup to its place, and run again"
        )
    return ArtifactError(
        f"the study file {file} is damaged ({found}). Nothing was written to it; {advice}"
    )


@contextmanager
def explained(ref: StorageUrl) -> Iterator[None]:
    """Translate errors of a database or a driver into messages with a next step."""
    try:
        yield
    except SeqtuneError:
        raise
    except Exception as error:
        translated = explanation(error, ref)
        if translated is None:
            raise
        raise translated from error


def explanation(error: BaseException, ref: StorageUrl) -> SeqtuneError | None:
    """Translate a storage error; None for any other error."""
    for cause in _chain(error):
        if isinstance(cause, ImportError):
            return _missing_driver(ref)
        if ref.is_proxied:
            from .proxy_client import proxy_fault

            fault = proxy_fault(cause)
            if fault is not None:
                return StorageError(f"{ref.place} {fault.text}")
        if isinstance(cause, sqlite3.Error) and ref.file is not None:
            return _of_sqlite(cause, ref.file)
        if isinstance(cause, AssertionError) and ref.file is not None:
            return damaged(ref.file, "a finished trial in it has no score")
        if isinstance(cause, OSError):
            return storage_error(cause, ref.place) or StorageError(
                f"studies cannot be stored in {ref.place}: {cause.strerror or cause}. Give another "
                "path, or move the obstacle away"
            )
        if isinstance(cause, DBAPIError):
            return StorageError(
                f"{ref.place} does not answer: {_without_password(str(cause), ref)}. Is it "
                "running, with room for one more connection, and are address, user and password "
                f"in {CREDENTIALS} right?"
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, the driver's before SQLAlchemy's.

    After a lost connection Optuna tries another query on it, whose error hides the loss: that one
    is only in the context.
    """
    while error is not None:
        original = getattr(error, "orig", None)
        if isinstance(original, BaseException):
            yield original
        yield error
        is_hiding = isinstance(error, PendingRollbackError)
        error = error.__context__ if is_hiding else error.__cause__


def _without_password(text: str, ref: StorageUrl) -> str:
    password = ref.parsed().password
    line = text.strip().partition("\n")[0]
    return line.replace(str(password), "***") if password else line


def _missing_driver(ref: StorageUrl) -> ConfigurationError:
    driver = "a proxy (gRPC)" if ref.is_proxied else ref.parsed().drivername
    return ConfigurationError(
        f"the driver for {driver} is not installed. Run: pip install 'seqtune[cluster]'"
    )


def _of_sqlite(error: sqlite3.Error, file: Path) -> SeqtuneError:
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(file, str(error))
    reason = next(
        (text for start, text in _SQLITE_REASONS.items() if name.startswith(start)), str(error)
    )
    return StorageError(
        f"the study file {file} cannot be used: {reason} ({error}). Finished trials are kept; "
        "repair this and run again"
    )


_SQLITE_REASONS = {
    "SQLITE_FULL": "no space is left on the disk",
    "SQLITE_IOERR": "the disk refuses to read or write",
    "SQLITE_READONLY": "it may not be written to",
    "SQLITE_CANTOPEN": "it cannot be opened, or its folder may not be written to",
    "SQLITE_BUSY": f"another process has held it locked for more than {LOCK_SECONDS} s",
    "SQLITE_LOCKED": f"another process has held it locked for more than {LOCK_SECONDS} s",
}


def is_away(error: BaseException, ref: StorageUrl) -> bool:
    """Whether a server did not answer, so that the same call may succeed later."""
    if ref.file is not None or isinstance(error, ConfigurationError):
        return False
    if ref.is_proxied:
        from .proxy_client import proxy_fault

        faults = (proxy_fault(cause) for cause in _chain(error))
        return any(fault is not None and fault.passes for fault in faults)
    return any(isinstance(cause, OperationalError | InterfaceError) for cause in _chain(error))


def with_retries(
    action: Callable[[], ResultT], ref: StorageUrl, *, patience_seconds: float = PATIENCE_SECONDS
) -> ResultT:
    """Call `action`, again and again while the server is away.

    An answer can be lost after the work was done, so a second call must do no harm.
    """
    deadline, pause = time.monotonic() + patience_seconds, 0.5
    while True:
        try:
            with explained(ref):
                return action()
        except Exception as error:
            if not is_away(error, ref) or time.monotonic() + pause > deadline:
                raise
            if pause == 0.5:
                logger.warning("%s Waiting up to %.0f s for it", error, patience_seconds)
        time.sleep(pause)
        pause = min(2 * pause, 10.0)
