"""The versions, machine and commit of a run. No environment variable is read here."""

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

LIBRARIES = ("kedro", "kedro-datasets", "duckdb", "pyarrow", "safetensors")
GIT_SECONDS = 5


def describe_environment(
    facts: RunFacts, task: str, *, root: Path, libraries: Iterable[str] = ()
) -> dict[str, Any]:
    """Return everything that is needed to reproduce the results."""
    used = datasets_used(facts, task)
    return {
        "versions": library_versions((*libraries, *LIBRARIES)),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "git": git_state(root),
        "datasets": used,
        "pins": pins({row["name"]: row["version"] for row in used if row["read"]}),
    }


def datasets_used(facts: RunFacts, task: str) -> list[dict[str, Any]]:
    """List the versions of datasets that this run read or made, without figures and pages."""
    run, rows = facts.run, []
    for name in sorted({*run.loaded, *run.saved}):
        if not name.startswith(f"{task}.") or kind_of(name) in ("figures", "pages"):
            continue
        found = facts.find(name)
        if found is None or found.version is None:
            continue
        if found.version == run.version and not found.here:
            continue  # another name of a dataset that this run made after reading it
        rows.append({"name": name, "read": name in run.loaded, **found.origin()})
    return rows


def git_state(root: Path) -> Mapping[str, Any] | None:
    """Return the commit, and whether files differ from it; None without git."""
    commit = _git(root, "rev-parse", "HEAD")
    changed = bool(commit and _git(root, "status", "--porcelain", "-uno"))
    return {"commit": commit, "changed": changed} if commit else None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
