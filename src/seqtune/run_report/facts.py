"""Everything that the page of a run is made of, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqtune.contracts.checkpoint import HISTORY, MANIFEST
from seqtune.contracts.ensemble import MANIFEST as ENSEMBLE_MANIFEST

from .answer import answer
from .asked import changes, command_line
from .discretion import discreet, discreet_text
from .record import RunRecord
from .shelf import Shelf, read_json, read_table
from .spent import examples, spent
from .surroundings import surroundings

DOCUMENTS = (
    "ingest_report",
    "split_report",
    "dry_run_report",
    "verify_report",
    "tune_test_report",
    "tune_quick_report",
    "quick_analysis",
    "narrowing_report",
    "tune_medium_report",
    "medium_analysis",
    "rerank_report",
    "best_config",
    "robust_config",
    "best_config_report",
    "tune_seed_report",
    "config",
    "metrics",
    "validate_report",
    "ensemble_report",
    "ensemble_metrics",
    "predict_report",
)


def gather(shelf: Shelf) -> dict[str, Any]:
    """The facts of a run, newest that exists, each with its version and whether it is of this run.

    The project's own path and whatever looks like a secret is taken out of all of it.
    """
    run = shelf.run
    root = Path(run.params.get("project_path") or ".")
    documents = {name: found for name in DOCUMENTS if (found := shelf.document(name))}
    documents |= _folders(shelf)
    facts = {
        "task": shelf.task,
        "version": run.version,
        "started": run.started.isoformat(timespec="seconds"),
        "seconds": run.seconds,
        "status": "failed" if run.failure else "finished",
        "error": run.failure._asdict() if run.failure else None,
        "asked": _asked(run, root),
        "documents": documents,
        "answer": answer({name: found["value"] for name, found in documents.items()}),
        "spent": spent(shelf, documents),
        "examples": examples(shelf),
        "tables": _tables(shelf),
        "nodes": [node._asdict() for node in run.nodes],
        "reproduce": surroundings(shelf, root=root, libraries=_libraries(documents)),
    }
    hidden: dict[str, Any] = discreet(facts, root=str(root))
    return {**hidden, "figures": _figures(shelf, root=str(root))}


def _asked(run: RunRecord, root: Path) -> dict[str, Any]:
    return {
        "command": command_line(run.params),
        "pipelines": list(run.params.get("pipeline_names") or ["__default__"]),
        "env": run.params.get("env") or "local",
        "changes": changes(run.params, conf=root / "conf"),
    }


def _folders(shelf: Shelf) -> dict[str, dict[str, Any]]:
    """What stands in the folders of the checkpoint and the ensemble, without any weights."""
    read = {}
    for name, files in (
        ("checkpoint", {"manifest": MANIFEST, "history": HISTORY}),
        ("ensemble", {"manifest": ENSEMBLE_MANIFEST}),
    ):
        found = shelf.find(name)
        if found and found.path.is_dir():
            value = {key: read_json(found.path / file) for key, file in files.items()}
            read[name] = {"value": value, **found.said()}
    return read


def _tables(shelf: Shelf) -> dict[str, dict[str, Any]]:
    """The rows of every table, numbers as numbers."""
    tables = {}
    for name in shelf.files_like("any_table"):
        found = shelf.find(name)
        if found and found.path.is_file():
            tables[name.removesuffix("_table")] = {**read_table(found.path), **found.said()}
    return tables


def _libraries(documents: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """Those that the task itself depends on, as its checkpoint says."""
    value = (documents.get("checkpoint") or {}).get("value") or {}
    return tuple((value.get("manifest") or {}).get("versions") or ())


def _figures(shelf: Shelf, *, root: str) -> dict[str, dict[str, Any]]:
    """The JSON of every figure, as text: it is not looked into here."""
    figures = {}
    for name in shelf.files_like("any_figure"):
        found = shelf.find(name)
        if found and found.path.is_file():
            text = discreet_text(found.path.read_text(encoding="utf-8"), root=root)
            figures[name.removesuffix("_figure")] = {"json": text, **found.said()}
    return figures
