"""The trials, epochs and seconds of a search, and examples of predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seqtune.core.format import shorten
from seqtune.datasets.remote_path import AnyPath

from .facts import RunFacts

STAGES = ("test", "quick", "medium", "seed")
LONGEST = 160
"""Characters of an input text."""


def spent(facts: RunFacts, task: str, documents: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each stage that trained; re-ranking has no table of its own."""
    rows = []
    for stage in STAGES:
        found = facts.find(f"{task}.{stage}_trials")
        totals = _totals(found.path) if found else None
        if found and totals and totals["trials"]:
            rows.append({"stage": stage, **totals, **found.origin()})
    reranked = documents.get("rerank_report") or {}
    trained = [row.get("num") or 0 for row in reranked.get("value", {}).get("rows", ())]
    if trained:
        row = {"stage": "rerank", "trials": sum(trained), "epochs": None, "seconds": None}
        rows.append({**row, "version": reranked["version"], "here": reranked["here"]})
    return rows


def _totals(path: AnyPath) -> dict[str, Any]:
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        rows = pq.read_table(file).to_pylist()
    states = [row["state"] for row in rows]
    return {
        "trials": len(rows),
        "epochs": sum(map(_num_trained, rows)),
        "seconds": sum(row["seconds"] or 0.0 for row in rows),
        "counts": {state: states.count(state) for state in dict.fromkeys(states)},
    }


def _num_trained(row: Mapping[str, Any]) -> int:
    """Return the epochs that a trial trained itself; older tables know no other ones."""
    reported = max(map(int, json.loads(row["curve"])), default=0)
    return reported - int(row.get("resumed_epoch") or 0)


def examples(facts: RunFacts, task: str, *, num: int = 3) -> list[dict[str, Any]]:
    """Return the first few predictions."""
    found = facts.find(f"{task}.predictions")
    if found is None or not found.path.is_file():
        return []
    import pyarrow.parquet as pq

    with found.path.open("rb") as opened, pq.ParquetFile(opened) as file:
        names = list(file.schema_arrow.names)
        if {"user", "item", "rank"} <= set(names):
            return _lists(_first_rows(file, columns=["user", "item"], num=200), num=num)
        if "id" not in names:
            return []
        rows = _first_rows(file, columns=names, num=num)
    texts = [str(row.get("text") or row["id"]) for row in rows]
    pairs = zip(texts, rows, strict=True)
    return [{"who": shorten(text, LONGEST), "list": _answers(row)} for text, row in pairs]


def _first_rows(file: Any, *, columns: list[str], num: int) -> list[dict[str, Any]]:
    batch = next(file.iter_batches(batch_size=num, columns=columns), None)
    return batch.to_pylist() if batch else []


def _lists(rows: list[dict[str, Any]], *, num: int) -> list[dict[str, Any]]:
    """Return the lists of the first few users, best item first."""
    lists: dict[Any, list[str]] = {}
    for row in rows:
        if row["user"] not in lists and len(lists) == num:
            break
        lists.setdefault(row["user"], []).append(str(row["item"]))
    return [{"who": str(user), "list": listed} for user, listed in lists.items()]


def _answers(row: Mapping[str, Any]) -> list[str]:
    """Return the summary of a dialogue, or the labels of a text with their probabilities."""
    if "summary" in row:
        return [str(row["summary"])]
    labels = [name for name in row if f"p({name})" in row]
    given = [f"{name} {row[f'p({name})']:.2f}" for name in labels if row[name]]
    return given or ["–"]
