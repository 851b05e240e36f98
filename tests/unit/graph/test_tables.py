"""Previews of tables: a column for each parameter, and nothing too long to read."""

from __future__ import annotations

import json

from seqtune.graph.tables import LONGEST_CELL, readable


def test_parameters_become_columns_and_absent_ones_stay_empty() -> None:
    params = [{"model.size": 8, "training.lr": 0.00123456789}, {"model.size": 16}]
    table = {
        "index": [0, 1],
        "columns": ["number", "params", "state"],
        "data": [[number, json.dumps(one), "complete"] for number, one in enumerate(params)],
    }

    assert readable(table) == {
        "index": [0, 1],
        "columns": ["number", "model.size", "training.lr", "state"],
        "data": [[0, 8, 0.0012346, "complete"], [1, 16, "", "complete"]],
    }


def test_metrics_are_cut_and_text_that_only_looks_like_json_is_left() -> None:
    metrics = json.dumps({f"metric {number}": number for number in range(40)})
    table = {"index": [0], "columns": ["metrics", "note"], "data": [[metrics, "{not json"]]}

    (row,) = readable(table)["data"]

    assert len(row[0]) == LONGEST_CELL
    assert row[0].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert row[1] == "{not json"


def test_empty_table_stays_empty() -> None:
    assert readable({"index": [], "columns": ["params"], "data": []})["data"] == []
