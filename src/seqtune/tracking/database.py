"""Whether a tracking database can be written to, asked in milliseconds.

MLflow asks ten times and waits longer each time, for a minute and a half in all.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

SQLITE = "sqlite:///"
LOCK_SECONDS = 10


def under(project: Path, uri: str) -> str:
    """A SQLite address with a relative path is meant from the project, wherever one stands."""
    if not uri.startswith(SQLITE):
        return uri
    return f"{SQLITE}{project / uri.removeprefix(SQLITE)}"


def require_writable(uri: str) -> None:
    """Raise what SQLite says of a file that it cannot write to; other databases speak later."""
    if not uri.startswith(SQLITE):
        return
    file = Path(uri.removeprefix(SQLITE))
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE seqtune_asks (x INTEGER)")
        connection.execute("ROLLBACK")
