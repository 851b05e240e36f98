"""Write the page of a run, and the index of all pages."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtune.core.config import Section
from seqtune.core.errors import ConfigurationError
from seqtune.core.files import atomic_write
from seqtune.datasets.remote_path import AnyPath, path_of

from .facts import REPORT, RunFacts, entry_of, place_of
from .page_facts import gather

logger = logging.getLogger(__name__)

ENTRY = "entry.json"
INDEX = "index.html"


class ReportConfig(Section):
    """`report` in conf/base/parameters_report.yml."""

    enabled: bool = True
    """Write a page for every run that has nodes of a task."""


def write_report(facts: RunFacts, task: str) -> AnyPath:
    """Write the report of one task as a version of its dataset; return the path of the page."""
    from seqtune.reporting.page import DOCUMENTS, render

    name = f"{task}.{REPORT}"
    gathered = gather(facts, task, names=DOCUMENTS)
    facts.catalog[name].save(render(gathered))
    report = path_of(entry_of(facts.catalog, name))
    page = place_of(facts.catalog, name, facts.run.version)
    if report is None or page is None:
        raise ConfigurationError(
            f"{name} needs a `filepath` in the catalog, on a file system or in object storage"
        )
    if page.is_file():
        _write(page.parent / ENTRY, json.dumps(index_entry(gathered), indent=1))
        refresh_index(report)
    return page


def index_entry(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a run in the index."""
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
    """Rewrite the index from the entries beside the reports, so that deleted runs vanish."""
    from seqtune.reporting.page import index_page

    folder = report.parent.parent
    entries = []
    for file in folder.glob(f"*/{report.name}/*/{ENTRY}"):
        page = file.parent / report.name
        if page.is_file():
            try:
                entry = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                logger.warning("%s is damaged (%s): delete it; its run is not listed", file, error)
            else:
                entries.append({**entry, "link": str(page).removeprefix(f"{folder}/")})
    index = folder / INDEX
    _write(index, index_page(entries))
    return index


def _write(path: AnyPath, text: str) -> None:
    """Write at once: two runs may end together."""
    if isinstance(path, Path):
        with atomic_write(path) as partial:
            partial.write_text(text, "utf-8")
    else:
        path.write_text(text, "utf-8")
