"""The report of a comparison, in the form of a metrics report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from seqtune.core.metrics import EXHIBITS, HEADLINE, PARTS, dump_report_items
from seqtune.core.reports import COMPARISONS, Report
from seqtune.core.row_metrics import (
    RowMetrics,
    comparison_table,
    describe_test,
    segment_items,
)

SEED = 0


def describe(rows: RowMetrics, facts: Report, notes: Sequence[str], *, draws: int) -> Report:
    """Test every pair of systems, better ones first; the lines compare the best with the others."""
    overall = rows.overall
    ranked = sorted(overall, key=lambda name: -overall[name])
    tests = rows.test_pairs(combinations(ranked, 2), seed=SEED, draws=draws)
    items = {
        COMPARISONS: comparison_table({rows.part: tests}, rows.metric),
        **segment_items([rows], seed=SEED, draws=draws),
    }
    against_best = [test for test in tests if test.first == ranked[0]]
    lines = [describe_test(test, part=rows.part, metric=rows.metric) for test in against_best]
    return {
        HEADLINE: [*lines, *facts.pop(HEADLINE, ()), *notes],
        **facts,
        "part": rows.part,
        "metric": rows.metric,
        "draws": draws,
        PARTS: {
            rows.part: {
                rows.unit: len(next(iter(rows.values.values()))),
                "compared": {rows.metric: {name: overall[name] for name in ranked}},
            }
        },
        EXHIBITS: dump_report_items(items),
    }
