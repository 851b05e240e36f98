"""Gather the content of the page of a run as plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seqtune.core.checkpoint import HISTORY, MANIFEST
from seqtune.core.ensemble import MANIFEST as ENSEMBLE_MANIFEST
from seqtune.core.secrets import HIDDEN, is_secret, mask

from .environment import describe_environment
from .facts import FoundDataset, RunFacts
from .run_command import changes, command_line
from .search_cost import examples, spent
from .tables import read_table
from .verdict import answer

FOLDERS = {
    "checkpoint": {"manifest": MANIFEST, "history": HISTORY},
    "ensemble": {"manifest": ENSEMBLE_MANIFEST},
}
"""The files that are read of these folders; no weights."""
DATABASE = re.compile(
    r"\b((?:postgres(?:ql)?|mysql|mariadb|mssql|oracle|redis|mongodb)(?:\+\w+)?)://[^\s\"'<>\\]*",
    re.IGNORECASE,
)


def gather(facts: RunFacts, task: str, *, names: Iterable[str]) -> dict[str, Any]:
    """Gather the page of one task from the documents of these names.

    The path of the project and everything that looks like a secret is removed.
    """
    run = facts.run
    root = Path(run.params.get("project_path") or ".")
    documents = {name: found for name in names if (found := _document(facts, task, name))}
    gathered = {
        "task": task,
        "version": run.version,
        "started": run.started.isoformat(timespec="seconds"),
        "seconds": run.seconds,
        "status": "failed" if run.failure else "finished",
        "error": run.failure._asdict() if run.failure else None,
        "asked": {
            "command": command_line(run.params),
            "pipelines": list(run.params.get("pipeline_names") or ["__default__"]),
            "env": run.params.get("env") or "local",
            "changes": changes(
                run.params, conf=root / "conf", others={*facts.tasks, "sample"} - {task}
            ),
        },
        "documents": documents,
        "answer": answer({name: found["value"] for name, found in documents.items()}),
        "spent": spent(facts, task, documents),
        "examples": examples(facts, task),
        "tables": _tables(facts, task),
        "nodes": [{"name": node.name, "seconds": node.seconds} for node in run.nodes],
        "reproduce": describe_environment(facts, task, root=root, libraries=_libraries(documents)),
    }
    hidden: dict[str, Any] = redact(gathered, root=str(root))
    return {**hidden, "figures": _figures(facts, task, root=str(root))}


def redact(value: Any, *, root: str) -> Any:
    """Return the value without database addresses, passwords, and the path of the project."""
    if isinstance(value, str):
        if "://" in value:
            value = mask(DATABASE.sub(rf"\1://{HIDDEN}", value))
        return value.replace(f"{root}/", "") if root else value
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN
            if isinstance(child, str) and is_secret(str(key))
            else redact(child, root=root)
            for key, child in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(child, root=root) for child in value]
    return value


def _document(facts: RunFacts, task: str, name: str) -> dict[str, Any] | None:
    if name not in FOLDERS:
        return facts.document(f"{task}.{name}")
    found = facts.find(f"{task}.{name}")
    if found is None:
        return None
    files = {key: found.path / file for key, file in FOLDERS[name].items()}
    texts = {key: file.read_text(encoding="utf-8") for key, file in files.items() if file.exists()}
    return {"value": {key: json.loads(text) for key, text in texts.items()}, **found.origin()}


def _libraries(documents: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """Return the libraries of the task that its checkpoint names."""
    value = (documents.get("checkpoint") or {}).get("value") or {}
    return tuple((value.get("manifest") or {}).get("versions") or ())


def _tables(facts: RunFacts, task: str) -> dict[str, dict[str, Any]]:
    """Read the rows of every table, numbers as numbers."""
    return {
        name.removesuffix("_table"): {**read_table(found.path), **found.origin()}
        for name, found in _files(facts, f"{task}.any_table")
    }


def _figures(facts: RunFacts, task: str, *, root: str) -> dict[str, dict[str, Any]]:
    """Read the JSON of every figure as text."""
    return {
        name.removesuffix("_figure"): {
            "json": redact(found.path.read_text(encoding="utf-8"), root=root),
            **found.origin(),
        }
        for name, found in _files(facts, f"{task}.any_figure")
    }


def _files(facts: RunFacts, like: str) -> Iterator[tuple[str, FoundDataset]]:
    for name in facts.names_like(like):
        if found := facts.find(name):
            yield name.rpartition(".")[2], found
