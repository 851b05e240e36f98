"""What a search cost: trials, epochs and seconds, from the tables of its trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .shelf import Shelf

STAGES = ("test", "quick", "medium", "seed")


def spent(shelf: Shelf, documents: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each stage that trained something; re-ranking has no table of its own."""
    rows = []
    for stage in STAGES:
        found = shelf.find(f"{stage}_trials")
        totals = _totals(found.path) if found and found.path.exists() else None
        if found and totals and totals["trials"]:
            rows.append({"stage": stage, **totals, **found.said()})
    reranked = documents.get("rerank_report") or {}
    trained = [row.get("num") or 0 for row in reranked.get("value", {}).get("rows", ())]
    if trained:
        row = {"stage": "rerank", "trials": sum(trained), "epochs": None, "seconds": None}
        rows.append({**row, "version": reranked["version"], "here": reranked["here"]})
    return rows


def _totals(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    columns = pq.read_table(path, columns=["curve", "seconds", "state"]).to_pydict()
    epochs = [max(map(int, json.loads(curve)), default=0) for curve in columns["curve"]]
    states = columns["state"]
    return {
        "trials": len(states),
        "epochs": sum(epochs),
        "seconds": sum(seconds or 0.0 for seconds in columns["seconds"]),
        "counts": {state: states.count(state) for state in dict.fromkeys(states)},
    }


def examples(shelf: Shelf, *, num: int = 3) -> list[dict[str, Any]]:
    """The predictions for the first few, as they were written."""
    found = shelf.find("predictions")
    if found is None or not found.path.is_file():
        return []
    import pyarrow.parquet as pq

    file = pq.ParquetFile(found.path)
    if not {"user", "item", "rank"} <= set(file.schema_arrow.names):
        return []
    batch = next(file.iter_batches(batch_size=200, columns=["user", "item"]), None)
    lists: dict[Any, list[str]] = {}
    for row in batch.to_pylist() if batch else ():
        if row["user"] not in lists and len(lists) == num:
            break
        lists.setdefault(row["user"], []).append(str(row["item"]))
    return [{"who": str(user), "list": listed} for user, listed in lists.items()]
