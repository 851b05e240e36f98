"""The page of one run, of verify_env, and of all runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._curve import curves
from ._environment import asset, environment, policy
from ._figures import Figure, exhibit_name, figures, packed_plotly, plotly_script

SECTIONS: dict[str, tuple[str, ...]] = {
    "answer": (),
    "asked": (),
    "data": ("ingest_report", "split_report"),
    "changes": ("data_changes_report", "refresh_report"),
    "dry_run": ("dry_run_report",),
    "verify": ("verify_report",),
    "test": ("tune_test_report",),
    "quick": ("tune_quick_report", "quick_analysis"),
    "narrowing": ("narrowing_report",),
    "medium": ("tune_medium_report", "medium_analysis"),
    "rerank": ("rerank_report",),
    "seed": ("tune_seed_report",),
    "overfitting": ("medium_analysis", "quick_analysis"),
    "configs": ("best_config", "robust_config"),
    "training": ("checkpoint", "config"),
    "metrics": ("metrics", "validate_report"),
    "ensemble": ("ensemble_report", "ensemble", "ensemble_metrics"),
    "compare": ("compare_report",),
    "predictions": ("predict_report",),
    "figures": (),
    "time": (),
    "reproduce": (),
}
"""Sections in order; each needs one of its documents."""
DOCUMENTS = tuple(dict.fromkeys(name for names in SECTIONS.values() for name in names))
FIGURED = ("quick", "medium", "narrowing", "rerank", "seed", "ensemble", "compare")
"""Sections that show the figures and tables whose names begin with theirs."""
METRICS, EXHIBITS = "metrics", "exhibits"
PREFIXED = {"ensemble": "ensemble_metrics", "compare": "compare_report"}
"""Sections whose tables begin with their names, and the reports that give these titles."""


def render(facts: Mapping[str, Any]) -> str:
    """Render `facts`, as `run_report.page_facts` gathers them; any key may be missing:

    task, version, started, seconds, status, error {kind, message, node}; asked {command, pipelines,
    env, changes}; documents {name: {value, version, here}}, reports as the catalog has them; answer
    {metric, mode, parts, search, signs}; figures {name: {json, version, here}}; tables {name:
    {columns, rows, left_out, version, here}}; spent; examples; nodes; reproduce {versions,
    platform, cpus, git, datasets, pins}.
    """
    documents = facts.get("documents") or {}
    drawn = figures(facts.get("figures") or {})
    placed = _place_figures(drawn, documents)
    shown = [name for name in SECTIONS if _is_shown(name, documents, placed)]
    library = plotly_script() if drawn else b""
    script = asset("page.js")
    template = environment().get_template("page.html")
    return template.render(
        facts=facts,
        documents=documents,
        value={name: found.get("value") for name, found in documents.items()},
        sections=shown,
        section_documents=SECTIONS,
        placed=placed,
        read=_tables_by_section(facts.get("tables") or {}, documents),
        curves=_training_curves(documents),
        style=asset("page.css"),
        script=script,
        plotly=packed_plotly() if library else "",
        has_figures=bool(drawn),
        policy=policy(script.encode(), library, draws=bool(library)),
    )


def verify_page(report: Mapping[str, Any]) -> str:
    """Render the report of verify_env as a page of its own."""
    template = environment().get_template("verify.html")
    return template.render(
        report=report,
        value={"verify_report": report},
        documents={"verify_report": {"value": report, "here": True}},
        style=asset("page.css"),
        policy=policy(),
    )


def index_page(entries: Iterable[Mapping[str, Any]]) -> str:
    """List runs, newest first. An entry: task, version, started, seconds, status, pipelines, env,
    metric, parts {part: {model, ensemble}}, made, link."""
    newest = sorted(entries, key=lambda entry: str(entry.get("started") or ""), reverse=True)
    script = asset("page.js")
    template = environment().get_template("index.html")
    return template.render(
        entries=newest, style=asset("page.css"), script=script, policy=policy(script.encode())
    )


def _place_figures(drawn: list[Figure], documents: Mapping[str, Any]) -> dict[str, list[Figure]]:
    """Group figures by the section that shows them; the metrics name theirs."""
    placed = {name: [one for one in drawn if _belongs(one.name, name)] for name in FIGURED}
    exhibits = _exhibits(documents, METRICS)
    placed[METRICS] = [one for one in drawn if one.name in exhibits]
    known = {one.name for section in placed.values() for one in section}
    return {**placed, "figures": [one for one in drawn if one.name not in known]}


def _tables_by_section(
    tables: Mapping[str, Any], documents: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Group tables by the section that shows them, with the titles that the metrics give."""
    found: dict[str, list[Any]] = {METRICS: [], **{section: [] for section in PREFIXED}}
    for name, table in tables.items():
        section = next((one for one in PREFIXED if _belongs(name, one)), METRICS)
        source, kind = PREFIXED.get(section, METRICS), exhibit_name(name)
        title = (_exhibits(documents, source).get(kind) or {}).get("title") or name
        found[section].append({**table, "name": name, "kind": kind, "title": title})
    return found


def _exhibits(documents: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = (documents.get(name) or {}).get("value") or {}
    return found.get(EXHIBITS) or {}


def _is_shown(name: str, documents: Mapping[str, Any], placed: Mapping[str, list[Figure]]) -> bool:
    wanted = SECTIONS[name]
    if name == "figures":
        return bool(placed[name])
    first = (documents.get(wanted[0]) or {}).get("value") if wanted else None
    is_off = isinstance(first, Mapping) and first.get("enabled") is False
    return not wanted or (not is_off and any(each in documents for each in wanted))


def _belongs(name: str, section: str) -> bool:
    return name == section or name.startswith(f"{section}_")


def _training_curves(documents: Mapping[str, Any]) -> list[Any]:
    folder = (documents.get("checkpoint") or {}).get("value") or {}
    manifest = folder.get("manifest") or {}
    training = (manifest.get("config") or {}).get("training") or {}
    best = (manifest.get("best") or {}).get("epoch")
    return curves(
        folder.get("history"), monitor=str(training.get("monitor") or ""), best_epoch=best
    )
