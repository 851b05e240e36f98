"""Writes the page of a run, and the index over all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import DataCatalog

from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.files import atomic_write
from seqtune.datasets.remote_path import AnyPath, path_of

from .facts import gather
from .record import RunRecord
from .shelf import Shelf

REPORT = "run_report"
ENTRY = "entry.json"
INDEX = "index.html"


def report_dataset(task: str) -> str:
    """The report's name in the catalog."""
    return f"{task}.{REPORT}"


def write_report(task: str, catalog: DataCatalog, run: RunRecord) -> AnyPath:
    """Write the report of one task as a version of its dataset; the page that was written."""
    from seqtune.reporting.page import render

    shelf = Shelf(task, catalog, run)
    entry = shelf.entry(REPORT)
    facts = gather(shelf)
    catalog[report_dataset(task)].save(render(facts))
    report, page = path_of(entry), path_of(entry, run.version)
    if report is None or page is None:
        raise ConfigurationError(
            f"{report_dataset(task)} needs a `filepath` in the catalog, on a file system or in "
            "object storage"
        )
    if page.is_file():
        (page.parent / ENTRY).write_text(json.dumps(index_entry(facts), indent=1), "utf-8")
        refresh_index(report)
    return page


def index_entry(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the index says of a run."""
    answer, documents = facts["answer"], facts["documents"]
    sources = {"model": "metrics", "ensemble": "ensemble_metrics"}
    measured = {who for who, name in sources.items() if documents.get(name, {}).get("here")}
    parts = {
        part: {who: value for who, value in row["values"].items() if who in measured}
        for part, row in answer["parts"].items()
    }
    return {
        **{key: facts[key] for key in ("task", "version", "started", "seconds", "status")},
        "pipelines": facts["asked"]["pipelines"],
        "env": facts["asked"]["env"],
        "metric": answer["metric"],
        "parts": parts,
        "made": [name for name, found in documents.items() if found["here"]],
    }


def refresh_index(report: AnyPath) -> AnyPath:
    """Write the index anew from what stands beside the reports: a deleted run is gone from it."""
    from seqtune.reporting.page import index_page

    folder = report.parent.parent
    entries = []
    for file in folder.glob(f"*/{report.name}/*/{ENTRY}"):
        page = file.parent / report.name
        if page.is_file():
            said = json.loads(file.read_text(encoding="utf-8"))
            entries.append({**said, "link": str(page).removeprefix(f"{folder}/")})
    index = folder / INDEX
    _write_at_once(index, index_page(entries))  # two runs may end together
    return index


def _write_at_once(path: AnyPath, text: str) -> None:
    if not isinstance(path, Path):
        path.write_text(text, "utf-8")
        return
    with atomic_write(path) as partial:
        partial.write_text(text, "utf-8")
