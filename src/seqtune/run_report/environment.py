"""With what a run was made: versions, machine, commit. No environment variable is read here."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seqtune.core.config import library_versions

from .facts import RunFacts, kind_of
from .run_command import pins

ALSO = ("kedro", "kedro-datasets", "duckdb", "pyarrow", "safetensors")
GIT_SECONDS = 5


def surroundings(
    facts: RunFacts, task: str, *, root: Path, libraries: Iterable[str] = ()
) -> dict[str, Any]:
    """Everything that somebody needs who wants the same result."""
    used = datasets_used(facts, task)
    return {
        "versions": library_versions((*libraries, *ALSO)),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "git": git_state(root),
        "datasets": used,
        "pins": pins({row["name"]: row["version"] for row in used if row["read"]}),
    }


def datasets_used(facts: RunFacts, task: str) -> list[dict[str, Any]]:
    """The versions of what this run read or made; figures and pages are left out."""
    run, rows = facts.run, []
    for name in sorted({*run.loaded, *run.saved}):
        if not name.startswith(f"{task}.") or kind_of(name) in ("figures", "pages"):
            continue
        found = facts.find(name)
        if found is None or found.version is None:
            continue
        if found.version == run.version and not found.here:
            continue  # another name of something that this run made only after reading it
        rows.append({"name": name, "read": name in run.loaded, **found.origin()})
    return rows


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
