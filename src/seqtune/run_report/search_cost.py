"""What a search cost: trials, epochs and seconds, from the tables of its trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seqtune.core.format import shorten
from seqtune.datasets.remote_path import AnyPath

from .facts import RunFacts

STAGES = ("test", "quick", "medium", "seed")
LONGEST = 160
"""Characters of a text that is answered."""


def spent(facts: RunFacts, task: str, documents: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each stage that trained something; re-ranking has no table of its own."""
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
        columns = pq.read_table(file, columns=["curve", "seconds", "state"]).to_pydict()
    epochs = [max(map(int, json.loads(curve)), default=0) for curve in columns["curve"]]
    states = columns["state"]
    return {
        "trials": len(states),
        "epochs": sum(epochs),
        "seconds": sum(seconds or 0.0 for seconds in columns["seconds"]),
        "counts": {state: states.count(state) for state in dict.fromkeys(states)},
    }


def examples(facts: RunFacts, task: str, *, num: int = 3) -> list[dict[str, Any]]:
    """The predictions for the first few, as they were written."""
    found = facts.find(f"{task}.predictions")
    if found is None or not found.path.is_file():
        return []
    import pyarrow.parquet as pq

    with found.path.open("rb") as opened, pq.ParquetFile(opened) as file:
        names = list(file.schema_arrow.names)
        if {"user", "item", "rank"} <= set(names):
            rows = _first_rows(file, columns=["user", "item"], num=200)
            return _lists(rows, num=num)
        if "id" not in names:
            return []
        rows = _first_rows(file, columns=names, num=num)
    return [{"who": _who(row), "list": _answers(row)} for row in rows]


def _first_rows(file: Any, *, columns: list[str], num: int) -> list[dict[str, Any]]:
    batch = next(file.iter_batches(batch_size=num, columns=columns), None)
    return batch.to_pylist() if batch else []


def _lists(rows: list[dict[str, Any]], *, num: int) -> list[dict[str, Any]]:
    """One list for each of the first few users, best first."""
    lists: dict[Any, list[str]] = {}
    for row in rows:
        if row["user"] not in lists and len(lists) == num:
            break
        lists.setdefault(row["user"], []).append(str(row["item"]))
    return [{"who": str(user), "list": listed} for user, listed in lists.items()]


def _who(row: Mapping[str, Any]) -> str:
    """What was answered: its text where it stands there, else its id."""
    return shorten(str(row.get("text") or row["id"]), LONGEST)


def _answers(row: Mapping[str, Any]) -> list[str]:
    """The summary of a dialogue, or the labels of a text with their probabilities."""
    if "summary" in row:
        return [str(row["summary"])]
    labels = [name for name in row if f"p({name})" in row]
    given = [f"{name} {row[f'p({name})']:.2f}" for name in labels if row[name]]
    return given or ["–"]
