"""Connect to DuckDB with bounded memory, offline, and translate its errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

import duckdb

from seqtune.core.errors import InfeasibleError

MEMORY_LIMIT = "1800MiB"
"""What DuckDB may hold before it spills to disk; numpy's share comes on top (see ordering)."""

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@contextmanager
def connect(temporary: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database that spills below `temporary` and never uses the network."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(temporary / "spill"),
        "preserve_insertion_order": True,  # file order counts
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with disk_errors(), duckdb.connect(":memory:", config=settings) as connection:
        connection.execute("SET TimeZone = 'UTC'")  # a time without a zone is read as UTC
        connection.execute("SET enable_progress_bar = false")
        # Integer ids within a range of 4 million are counted in an array, not in a hash table:
        # 5 times faster, for at most some 100 MB.
        connection.execute("SET perfect_ht_threshold = 22")
        try:
            yield connection
        except RuntimeError as error:
            if str(error) != "Query interrupted":
                raise
            raise KeyboardInterrupt from error  # what Ctrl-C is everywhere but in DuckDB


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn DuckDB's errors on a full or read-only disk or too little memory into our own."""
    try:
        yield
    except duckdb.Error as error:
        code = disk_error_code(error)
        if code is not None:
            raise OSError(code, f"{os.strerror(code)} ({gist(error)})") from error
        if is_shortage(error):
            raise InfeasibleError(
                f"reading the log takes more memory than the {MEMORY_LIMIT} that it may have, even "
                f"with what can be spilled to disk ({gist(error)}). Nothing is wrong with the "
                "files: write ids as whole numbers instead of text, or keep fewer users (all rows "
                "of every tenth)",
                constraint="memory",
            ) from error
        raise


def is_shortage(error: duckdb.Error) -> bool:
    """Whether memory or disk ran short; otherwise the file is at fault."""
    return disk_error_code(error) is not None or isinstance(error, duckdb.OutOfMemoryException)


def disk_error_code(error: duckdb.Error) -> int | None:
    """Find the errno by the system's text for it in the message; DuckDB has no errno."""
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException) and "offload" in text:
        return errno.ENOSPC  # the temporary directory has reached what the disk can hold
    return next((code for code in _DISK_ERRORS if os.strerror(code) in text), None)


def gist(error: BaseException) -> str:
    """Return DuckDB's message without its advice on options that users cannot set here."""
    text = str(error).partition("Possible ")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(line if len(line) <= 120 else f"{line[:117]}..." for line in lines[:4])


def fill(template: str, **parts: str | int) -> str:
    """Replace `$name` in SQL by an identifier, a literal or an expression."""
    return Template(template).substitute(parts)


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def path_literal(path: Path) -> str:
    """Quote a path so that *, ? and [ are not patterns."""
    return literal("".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path)))
