"""Check in milliseconds that a tracking database is writable.

MLflow itself would try ten times, for a minute and a half in all.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

SQLITE = "sqlite:///"
LOCK_SECONDS = 10


def under(project: Path, uri: str) -> str:
    """Resolve the relative path of a SQLite address from the project folder."""
    if not uri.startswith(SQLITE):
        return uri
    return f"{SQLITE}{project / uri.removeprefix(SQLITE)}"


def require_writable(uri: str) -> None:
    """Raise SQLite's error for a file that it cannot write; ignore other databases."""
    if not uri.startswith(SQLITE):
        return
    file = Path(uri.removeprefix(SQLITE))
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE seqtune_asks (x INTEGER)")
        connection.execute("ROLLBACK")
