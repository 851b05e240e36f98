"""Charts and a table of the labels of a part: curves, confusion, co-occurrence.

Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqtune.core.metrics import (
    Curve,
    LineChart,
    MatrixChart,
    ReportTable,
    dump_report_items,
)

from .metrics import by_label
from .thresholds import AnyArray, Bools, Floats, f1_at_cuts, rank

NONE = "(none)"
"""Row or column of texts without true, or without predicted, labels."""
POINTS = 200
"""Most points of a curve."""


@dataclass(frozen=True)
class PartResults:
    """Everything that the charts of one part show."""

    part: str
    labels: tuple[str, ...]
    probabilities: Floats  # [N, L]
    targets: Bools  # [N, L]
    decided: Bools  # [N, L], as in the metrics
    thresholds: Floats  # [L], for new texts
    fit_targets: Bools  # [N, L], of the fit part
    floor: str  # name of the strongest baseline
    floor_f1: Floats  # [L]

    def with_positives(self) -> list[int]:
        """Return the labels that have positives, of which a curve can be drawn."""
        return np.flatnonzero(self.targets.any(axis=0)).tolist()


def exhibits(shown: PartResults) -> dict[str, Any]:
    """Build all charts and tables of a part; JSON-ready."""
    return dump_report_items(
        {
            "precision_recall": precision_recall(shown),
            "thresholds": thresholds(shown),
            "confusion": confusion(shown),
            "co_occurrence": co_occurrence(shown),
            "classes": classes(shown),
        }
    )


def precision_recall(shown: PartResults) -> LineChart:
    """Draw one curve for each label, with a mark at its threshold."""
    ranked = rank(shown.probabilities, shown.targets)
    cut = by_label(shown.probabilities >= shown.thresholds, shown.targets)
    lines, marks = [], []
    for label in shown.with_positives():
        hits, name = ranked.hits[label], shown.labels[label]
        ends = _ends(ranked.probabilities[label])
        found = np.cumsum(hits)[ends]
        lines.append(_line(name, found / found[-1], found / (ends + 1)))
        marks.append(_line(name, cut.recall[label : label + 1], cut.precision[label : label + 1]))
    return LineChart(
        title=f"Precision and recall of each label ({shown.part})",
        x="recall",
        y="precision",
        lines=tuple(lines),
        marks=tuple(marks),
    )


def thresholds(shown: PartResults) -> LineChart:
    """Draw the F1 of each label by threshold, with a mark at the one in use."""
    cuts, f1 = f1_at_cuts(rank(shown.probabilities, shown.targets))
    at = by_label(shown.probabilities >= shown.thresholds, shown.targets).f1
    labels = shown.with_positives()
    return LineChart(
        title=f"F1 of each label by its threshold ({shown.part})",
        x="threshold",
        y="F1",
        lines=tuple(_line(shown.labels[n], cuts[n][::-1], f1[n][::-1]) for n in labels),
        marks=tuple(
            _line(shown.labels[n], shown.thresholds[n : n + 1], at[n : n + 1]) for n in labels
        ),
    )


def learning(by_texts: Mapping[str, Mapping[int, float]]) -> LineChart:
    """Draw macro F1 on valid by the number of labelled texts, and a mark where it was measured."""
    lines = tuple(
        Curve(name=name, x=tuple(found), y=tuple(found.values()))
        for name, found in by_texts.items()
    )
    return LineChart(
        title="What more labelled texts bring (valid)",
        x="labelled texts",
        y="macro F1",
        lines=lines,
        marks=lines,
        log_x=True,
    )


def confusion(shown: PartResults) -> MatrixChart:
    """Show, of texts with a label, the share that was given each label."""
    true, given = _with_none(shown.targets), _with_none(shown.decided)
    return MatrixChart(
        title=f"Share of texts with a label that were given another ({shown.part})",
        x="given",
        y="true",
        rows=(*shown.labels, NONE),
        columns=(*shown.labels, NONE),
        values=_shares(true, given),
    )


def co_occurrence(shown: PartResults) -> MatrixChart:
    """Show, of texts of the fit part with a label, the share that also has each other one."""
    return MatrixChart(
        title="Share of texts with a label that have another too (fit part)",
        x="also",
        y="label",
        rows=shown.labels,
        columns=shown.labels,
        values=_shares(shown.fit_targets, shown.fit_targets),
    )


def classes(shown: PartResults) -> ReportTable:
    """Tabulate the metrics of each label."""
    found = by_label(shown.decided, shown.targets)
    columns = {
        "positives": found.positives,
        "precision": found.precision,
        "recall": found.recall,
        "F1": found.f1,
        "threshold": shown.thresholds,
        f"F1 of {shown.floor}": shown.floor_f1,
    }
    return ReportTable(
        title=f"Labels ({shown.part})",
        columns=("label", *columns),
        rows=tuple(zip(shown.labels, *(own.tolist() for own in columns.values()), strict=True)),
    )


def _shares(of: Bools, among: Bools) -> tuple[tuple[float | None, ...], ...]:
    """Return conditional shares P(other | one); None where there are no rows."""
    both = of.T.astype(np.int64) @ among.astype(np.int64)
    totals = of.sum(axis=0)
    return tuple(
        tuple(float(n / total) if total else None for n in row)
        for row, total in zip(both, totals, strict=True)
    )


def _with_none(marked: Bools) -> Bools:
    return np.column_stack([marked, ~marked.any(axis=1)])


def _ends(probabilities: Floats) -> AnyArray:
    """Return the places where a threshold can cut."""
    return np.flatnonzero(np.append(probabilities[:-1] != probabilities[1:], True))


def _line(name: str, x: Floats, y: Floats) -> Curve:
    """Build a curve of at most POINTS evenly chosen points."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int))
    return Curve(name=name, x=tuple(x[kept].tolist()), y=tuple(y[kept].tolist()))
