"""Systems scored on the same rows: which differences are clear, and where each is good.

Shapes: U rows (users, texts).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from .bootstrap import (
    DRAWS,
    LEVEL,
    Bools,
    Floats,
    OfSums,
    PairedTest,
    paired_tests,
    segment_intervals,
)
from .errors import DataError
from .metrics import BarChart, ReportTable
from .reports import COMPARISONS, OURS, SEGMENT_CHART, SEGMENTS
from .seeds import derive_seed

Ints = npt.NDArray[np.int64]
_INTERVAL = f"{LEVEL:.0%} bootstrap intervals"

AnswersT = TypeVar("AnswersT")


class Segment(NamedTuple):
    """Some of the rows."""

    name: str
    bounds: str
    """What its rows have in common, in numbers."""
    rows: Bools  # [U]


@dataclass(frozen=True)
class RowMetrics:
    """What one metric of a held-out part is computed from, row by row and by system; higher is
    better."""

    part: str
    metric: str
    unit: str
    """The plural for rows."""
    values: Mapping[str, Floats]
    """The metric of each row [U]; with `of_sums`, the numbers whose sums it takes [U, K]."""
    segments: tuple[Segment, ...]
    of_sums: OfSums | None = None
    """None: the metric is the mean over rows."""

    @property
    def overall(self) -> dict[str, float]:
        """The metric of all rows, by system."""
        of_sums = self.of_sums
        return {
            name: float(of_sums(values.sum(axis=0)) if of_sums else values.mean())
            for name, values in self.values.items()
        }

    def renamed(self, system: str, name: str) -> RowMetrics:
        values = {name if each == system else each: rows for each, rows in self.values.items()}
        return replace(self, values=values)

    def test_pairs(
        self, pairs: Iterable[tuple[str, str]], *, seed: int, draws: int = DRAWS
    ) -> list[PairedTest]:
        """Test the differences of pairs of systems by a paired bootstrap."""
        seed = derive_seed(seed, "comparisons", self.part)
        return paired_tests(self.values, pairs, seed=seed, draws=draws, of_sums=self.of_sums)


def read_systems(
    files: Iterable[Path], read: Callable[[Path], AnswersT], *, taken: Collection[str]
) -> dict[str, AnswersT]:
    """Read the answers of other systems, each named by its file; `taken` are names of models and
    baselines."""
    found: dict[str, AnswersT] = {}
    for path in files:
        name = path.name.partition(".")[0]
        if name in (*taken, *found):
            raise DataError(
                f"{path}: a system is named by its file, and there is another system {name!r}; "
                "rename the file"
            )
        found[name] = read(path)
    return found


def thirds(
    values: Ints, sizes: tuple[str, str, str], *, bounds: str, among: Bools | None = None
) -> Iterator[Segment]:
    """Cut the rows (`among` these) into thirds by a number; equal numbers stay together.

    `sizes` names the thirds, `bounds` completes "3 to 12". Empty ones are left out.
    """
    among = np.ones(len(values), bool) if among is None else among
    if not among.any():
        return
    edges = np.quantile(values[among], [1 / 3, 2 / 3], method="inverted_cdf")
    numbers = np.searchsorted(edges, values, side="left")
    for number, size in enumerate(sizes):
        rows = among & (numbers == number)
        if rows.any():
            least, most = int(values[rows].min()), int(values[rows].max())
            span = f"{least}" if least == most else f"{least} to {most}"
            yield Segment(size, bounds.format(span), rows)


def compare_with_others(
    found: Sequence[RowMetrics], *, who: str, seed: int
) -> tuple[list[str], dict[str, ReportTable | BarChart]]:
    """Test OURS, named `who`, against every other system; return a line on the strongest one of
    each part, and the tables and the chart of all parts."""
    if not found:
        return [], {}
    found = [rows.renamed(OURS, who) for rows in found]
    tests = {
        rows.part: rows.test_pairs([(who, name) for name in rows.values if name != who], seed=seed)
        for rows in found
    }
    metric = found[0].metric
    lines = [
        describe_test(min(each, key=lambda test: test.difference), part=part, metric=metric)
        for part, each in tests.items()
    ]
    table = comparison_table(tests, metric)
    return lines, {COMPARISONS: table, **segment_items(found, seed=seed)}


def comparison_table(tests: Mapping[str, Sequence[PairedTest]], metric: str) -> ReportTable:
    """Arrange the tests of each part in a table."""
    return ReportTable(
        title=f"{metric}: differences between systems on the same rows, with {_INTERVAL}; p-values "
        "are two-sided, corrected by Holm's method for the tests of a part",
        columns=(
            *("part", "system", "against", "verdict"),
            *("difference", "low", "high", "p_value", "corrected_p_value"),
        ),
        rows=tuple(
            (part, test.first, test.second, verdict(test), *test[2:])
            for part, each in tests.items()
            for test in each
        ),
    )


def verdict(test: PairedTest) -> str:
    if not test.is_clear:
        return "not clear"
    return "better" if test.difference > 0 else "worse"


def describe_test(test: PairedTest, *, part: str, metric: str) -> str:
    """Say in one line what a test found."""
    return (
        f"{part} {metric}: {test.first} - {test.second} = {test.difference:+.4f} ({LEVEL:.0%} "
        f"interval {test.low:+.4f} to {test.high:+.4f}, corrected p {test.corrected:.3f}): "
        f"{verdict(test)}"
    )


def segment_items(
    found: Sequence[RowMetrics], *, seed: int, draws: int = DRAWS
) -> dict[str, ReportTable | BarChart]:
    """Return the table of all parts by segment, and a chart of the last part."""
    unit, metric = found[0].unit, found[0].metric
    rows = [row for one in found for row in _segment_rows(one, seed=seed, draws=draws)]
    table = ReportTable(
        title=f"{metric} by segment, with {_INTERVAL}",
        columns=("part", "segment", "range", unit, "system", "mean", "low", "high"),
        rows=tuple(rows),
    )
    return {SEGMENTS: table, SEGMENT_CHART: _segment_chart(found[-1], table)}


def _segment_rows(
    found: RowMetrics, *, seed: int, draws: int
) -> Iterator[tuple[str | float | int | None, ...]]:
    seed = derive_seed(seed, "segments", found.part)
    masks = [segment.rows for segment in found.segments]
    intervals = segment_intervals(
        found.values, masks, seed=seed, draws=draws, of_sums=found.of_sums
    )
    for segment, by_system in zip(found.segments, intervals, strict=True):
        first = (found.part, segment.name, segment.bounds, int(segment.rows.sum()))
        for system, interval in by_system.items():
            yield (*first, system, *interval)


def _segment_chart(found: RowMetrics, table: ReportTable) -> BarChart:
    shown = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    shown = [row for row in shown if row["part"] == found.part]
    by_system = {name: [row for row in shown if row["system"] == name] for name in found.values}
    return BarChart(
        title=f"{found.part} {found.metric} by segment, with {_INTERVAL}",
        x="segment",
        y=found.metric,
        names=tuple(segment.name for segment in found.segments),
        bars={name: tuple(row["mean"] for row in rows) for name, rows in by_system.items()},
        intervals={
            name: tuple((row["low"], row["high"]) for row in rows)
            for name, rows in by_system.items()
        },
    )
