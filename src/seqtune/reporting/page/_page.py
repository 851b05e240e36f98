"""One run, one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._curve import curves
from ._environment import asset, environment, policy
from ._figures import Figure, figures, packed_plotly, plotly_script

SECTIONS: dict[str, tuple[str, ...]] = {
    "answer": (),
    "asked": (),
    "data": ("ingest_report", "split_report"),
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
    "predictions": ("predict_report",),
    "figures": (),
    "time": (),
    "reproduce": (),
}
"""Sections in their order, each with the documents of which one must be there."""
FIGURED = ("quick", "medium", "narrowing", "rerank", "seed", "ensemble")
"""Sections that show the figures whose names begin like theirs."""


def render(facts: Mapping[str, Any]) -> str:
    """The page of one run.

    `facts` is what `run_report.gather` makes; any key may be missing:
    task, version, started, seconds, status, error {kind, message, node}; asked {command, pipelines,
    env, changes}; documents {name: {value, version, here}}, reports as the catalog has them; answer
    {metric, mode, parts, search, signs}; figures {name: {json, version, here}}; spent; examples;
    nodes; reproduce {versions, platform, cpus, git, datasets, pins}.
    """
    documents = facts.get("documents") or {}
    drawn = figures(facts.get("figures") or {})
    placed = {name: [one for one in drawn if _belongs(one, name)] for name in FIGURED}
    placed["figures"] = [one for one in drawn if not any(_belongs(one, name) for name in FIGURED)]
    shown = [name for name in SECTIONS if _is_shown(name, documents, placed)]
    library = plotly_script() if drawn else b""
    script = asset("page.js")
    return (
        environment()
        .get_template("page.html")
        .render(
            facts=facts,
            documents=documents,
            value={name: found.get("value") for name, found in documents.items()},
            sections=shown,
            section_documents=SECTIONS,
            placed=placed,
            curves=_training_curves(documents),
            style=asset("page.css"),
            script=script,
            plotly=packed_plotly() if library else "",
            has_figures=bool(drawn),
            policy=policy(script.encode(), library, draws=bool(library)),
        )
    )


def _is_shown(name: str, documents: Mapping[str, Any], placed: Mapping[str, list[Figure]]) -> bool:
    wanted = SECTIONS[name]
    if name == "figures":
        return bool(placed[name])
    first = (documents.get(wanted[0]) or {}).get("value") if wanted else None
    is_off = isinstance(first, Mapping) and first.get("enabled") is False
    return not wanted or (not is_off and any(each in documents for each in wanted))


def _belongs(figure: Figure, section: str) -> bool:
    return figure.name == section or figure.name.startswith(f"{section}_")


def _training_curves(documents: Mapping[str, Any]) -> list[Any]:
    folder = (documents.get("checkpoint") or {}).get("value") or {}
    manifest = folder.get("manifest") or {}
    training = (manifest.get("config") or {}).get("training") or {}
    best = (manifest.get("best") or {}).get("epoch")
    return curves(
        folder.get("history"), monitor=str(training.get("monitor") or ""), best_epoch=best
    )
