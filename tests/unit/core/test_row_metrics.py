"""Tables of systems scored on the same rows."""

from __future__ import annotations

import numpy as np

from seqtune.core.reports import COMPARISONS, OURS, SEGMENT_CHART, SEGMENTS
from seqtune.core.row_metrics import (
    RowMetrics,
    Segment,
    compare_with_others,
    comparison_table,
    describe_test,
    segment_items,
)


def rows() -> RowMetrics:
    base = np.tile([0.0, 0.25, 0.5], 8)
    first = np.arange(24) < 12
    return RowMetrics(
        part="valid",
        metric="ndcg@10",
        unit="users",
        values={"a": base + 0.5, "b": base},
        segments=(Segment("short", "1 to 3", first), Segment("long", "4 to 9", ~first)),
    )


def test_a_test_is_told_in_one_line_and_one_row() -> None:
    (test,) = rows().test_pairs([("b", "a")], seed=1, draws=999)
    assert describe_test(test, part="valid", metric="ndcg@10") == (
        "valid ndcg@10: b - a = -0.5000 (95% interval -0.5000 to -0.5000, corrected p 0.001): worse"
    )
    table = comparison_table({"valid": [test]}, "ndcg@10")
    assert table.rows == (("valid", "b", "a", "worse", -0.5, -0.5, -0.5, 0.001, 0.001),)
    assert len(table.columns) == len(table.rows[0])


def test_segments_as_a_table_and_a_chart() -> None:
    items = segment_items([rows()], seed=1)
    table, chart = items[SEGMENTS], items[SEGMENT_CHART]
    shown = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["segment"], row["range"], row["system"]) for row in shown] == [
        ("short", "1 to 3", "a"),
        ("short", "1 to 3", "b"),
        ("long", "4 to 9", "a"),
        ("long", "4 to 9", "b"),
    ]
    assert {row["users"] for row in shown} == {12}
    assert [row["mean"] for row in shown] == [0.75, 0.25, 0.75, 0.25]
    assert chart.names == ("short", "long")
    assert chart.bars == {"a": (0.75, 0.75), "b": (0.25, 0.25)}
    low, high = chart.intervals["a"][0]
    assert 0.5 <= low < 0.75 < high <= 1.0


def test_an_ensemble_is_named_so_in_lines_tables_and_charts() -> None:
    (line,), items = compare_with_others([rows().renamed("a", OURS)], who="ensemble", seed=1)
    assert line.startswith("valid ndcg@10: ensemble - b = +0.5000")
    assert items[COMPARISONS].rows[0][:3] == ("valid", "ensemble", "b")
    assert items[SEGMENT_CHART].bars.keys() == {"ensemble", "b"}
