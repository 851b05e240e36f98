"""With what a run was made: versions, machine, commit. No environment variable is read here."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from seqtune.contracts.config import library_versions

from .asked import pins
from .shelf import Found, Shelf

ALSO = ("kedro", "kedro-datasets", "duckdb", "pyarrow", "safetensors")
GIT_SECONDS = 5


def surroundings(shelf: Shelf, *, root: Path, libraries: Iterable[str] = ()) -> dict[str, Any]:
    """Everything that somebody needs who wants the same result."""
    used = datasets_used(shelf)
    return {
        "versions": {**library_versions(libraries), **_also()},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "git": git_state(root),
        "datasets": used,
        "pins": pins({row["name"]: row["version"] for row in used if row["read"]}),
    }


def datasets_used(shelf: Shelf) -> list[dict[str, Any]]:
    """The versions of what this run read or made; figures and pages are left out."""
    prefix = f"{shelf.task}."
    rows = []
    for whole in sorted({*shelf.run.loaded, *shelf.run.saved}):
        name = whole.removeprefix(prefix)
        if not whole.startswith(prefix) or name.endswith(("_figure", "_page")):
            continue
        found = shelf.find(name)
        if found is None or found.version is None or _is_of_later(found, shelf):
            continue
        rows.append({"name": whole, "read": whole in shelf.run.loaded, **found.said()})
    return rows


def _is_of_later(found: Found, shelf: Shelf) -> bool:
    """Whether this run wrote it only after reading: another name of one of its own outputs."""
    return found.version == shelf.run.version and not found.here


def git_state(root: Path) -> Mapping[str, Any] | None:
    """The commit of the project, and whether files differ from it; None where there is no git."""
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "changed": bool(_git(root, "status", "--porcelain", "-uno"))}


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _also() -> dict[str, str]:
    found = {}
    for name in ALSO:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
