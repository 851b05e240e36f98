"""Facts of runs of the tasks on texts, with one text wherever data can bring one."""

from __future__ import annotations

import json
from typing import Any

from page_facts import found, full_facts

from seqtune.core.metrics import (
    Curve,
    LineChart,
    MatrixChart,
    ReportTable,
    dump_report_items,
)
from seqtune.reporting.figures import draw_exhibit

OF_EVERY_TASK = (
    "verify_report",
    "tune_medium_report",
    "medium_analysis",
    "rerank_report",
    "best_config",
    "config",
    "checkpoint",
    "validate_report",
    "ensemble_report",
)


def classify_facts(text: str = "plain") -> dict[str, Any]:
    """Valid was scored for the checkpoint, test for the final ensemble alone."""
    metrics = _classify_metrics(text)
    ensemble = {**metrics, "parts": {"test": metrics["parts"]["valid"]}, "test_openings": 1}
    return _facts(
        "classify",
        metrics,
        ensemble_metrics=ensemble,
        decision={"thresholds": {text: 0.31, "other": 0.5}},
        tables={"classes": (["label", "positives", "F1"], [[text, 12, 0.5], ["other", 3, None]])},
        ingest_report={
            "rows_read": 120,
            "rows_kept": 110,
            "rows_dropped": {"empty": 4, "conflict": 6},
            "rows": {"pool": 110},
            "labels": {text: {"pool": 12}, "other": {"pool": 5}},
            "characters": {"min": 1, "p50": 30, "p95": 120, "max": 300},
            "warnings": [text],
        },
        split_report={
            "strategy": "stratified",
            "rows": {"train": 90, "valid": 10, "test": 10},
            "labels": {text: {"train": 10, "valid": 1, "test": 1}},
            "augmented_rows": 7,
            "content_hash": text * 4,
        },
        predict_report={
            "headline": [text],
            "rows": 20,
            "labels_given": {text: 4, "other": 0},
            "checkpoint": text,
        },
    )


def summarize_facts(text: str = "plain") -> dict[str, Any]:
    rouge = {name: {"model": 0.4, "lead_3": 0.3} for name in ("rouge1", "rouge_sum")}
    metrics = {
        "headline": [text],
        "protocol": text,
        "parts": {"valid": {"rows": 10, "verdict": text, "rouge": rouge}},
        "exhibits": dump_report_items({"examples": ReportTable(title=text, columns=(), rows=())}),
    }
    columns = ["kind", "id", "dialogue", "summary", "rouge_sum"]
    return _facts(
        "summarize",
        metrics,
        ensemble_metrics={**metrics, "test_closed_by": {"ensemble": text, "when": text}},
        scale="minimum_bayes_risk",
        tables={
            "examples": (columns, [["best", "a1", f"{text} " * 60, f"{text}\n{text} " * 20, 1.25]])
        },
        ingest_report={
            "rows_read": 30,
            "rows_kept": 29,
            "rows_dropped": {"empty": 1, "duplicate": 0},
            "characters": {
                "dialogue": {"min": 20, "p50": 300, "p95": 900, "max": 2000},
                "summary": {"min": 5, "p50": 60, "p95": 100, "max": 140},
            },
        },
        split_report={"strategy": "random", "rows": {"train": 20, "valid": 9}},
        dry_run_report={"headline": [text]},
        predict_report={"headline": [text], "rows": 10},
    )


def _facts(
    task: str,
    metrics: dict[str, Any],
    *,
    tables: dict[str, tuple[list[str], list[list[Any]]]],
    decision: dict[str, Any] | None = None,
    scale: str = "probabilities",
    **reports: Any,
) -> dict[str, Any]:
    from seqtune.run_report.verdict import answer

    whole = full_facts()
    documents = {name: whole["documents"][name] for name in OF_EVERY_TASK}
    documents |= {name: found(value) for name, value in reports.items()}
    documents["metrics"] = found(metrics)
    values = {"training.monitor": {"value": "val_macro_f1", "origin": "default"}}
    if task == "summarize":
        values["training.monitor"]["value"] = "val_rouge_sum"
    documents["config"] = found({"preset": "none", "values": values})
    report = documents["ensemble_report"]["value"]
    documents["ensemble_report"] = found({**report, "scale": scale, "decision": decision or {}})
    shown = {name: one for name, one in metrics["exhibits"].items() if one["kind"] != "table"}
    figures = {name: draw_exhibit(one, missing="") for name, one in shown.items()}
    figures |= {f"ensemble_{name}": one for name, one in figures.items()}
    return {
        **whole,
        "task": task,
        "status": "finished",
        "error": None,
        "documents": documents,
        "answer": answer({name: one["value"] for name, one in documents.items()}),
        "tables": {
            name: {**found(None), "columns": columns, "rows": rows, "left_out": 3}
            for name, (columns, rows) in tables.items()
        },
        "figures": {
            name: {**found(None), "json": json.dumps(json.loads(one.to_json()))}
            for name, one in figures.items()
        },
    }


def _classify_metrics(text: str) -> dict[str, Any]:
    row = {"model": 0.71, "tfidf_tuned": 0.66}
    line = Curve(name=text, x=(0.0, 1.0), y=(1.0, 0.0))
    exhibits = dump_report_items(
        {
            "precision_recall": LineChart(title=text, x="recall", y="precision", lines=(line,)),
            "confusion": MatrixChart(
                title=text, x="given", y="true", rows=(text,), columns=(text,), values=((0.5,),)
            ),
            "classes": ReportTable(title=f"Labels {text}", columns=(), rows=()),
        }
    )
    part = {
        "rows": 10,
        "verdict": text,
        "tuned": {"macro_f1": row, "exact_match": row},
        "at_half": {"macro_f1": {"model": 0.6, "tfidf": 0.5}},
        "f1_by_label": {text: row},
    }
    return {
        "headline": [text],
        "protocol": text,
        "parts": {"valid": part},
        "exhibits": exhibits,
    }
