"""The form of a metrics report, as `evaluate` of every task returns it.

    headline    summary lines
    parts       {part: {"verdict": str, group: {metric: {"model": x, floor: y, ...}}, ...}}
    exhibits    {name: chart or table}; see below
    fingerprint, data_hash, protocol, definitions, ...    what was scored, and how to read it

In a part, every mapping of mappings is a group of metrics; other values are facts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from .config import Section
from .reports import OURS

logger = logging.getLogger(__name__)

PARTS = "parts"
EXHIBITS = "exhibits"
HEADLINE = "headline"


class Curve(Section):
    """One curve."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class LineChart(Section):
    """Curves on common axes."""

    kind: Literal["lines"] = "lines"
    title: str
    x: str
    """Title of the axis."""
    y: str
    lines: tuple[Curve, ...]
    marks: tuple[Curve, ...] = ()
    """Highlighted points, by name of their line."""
    log_x: bool = False


class MatrixChart(Section):
    """Numbers by row and column, drawn as a heat map."""

    kind: Literal["matrix"] = "matrix"
    title: str
    x: str
    y: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


class BarChart(Section):
    """Numbers by name, as bars in groups side by side."""

    kind: Literal["bars"] = "bars"
    title: str
    x: str
    y: str
    names: tuple[str, ...]
    bars: dict[str, tuple[float | None, ...]]
    """One number for each name, by group."""
    intervals: dict[str, tuple[tuple[float | None, float | None], ...]] = Field(
        default_factory=dict
    )
    """The ends of an interval around each of them."""


class ReportTable(Section):
    """A table of text and numbers."""

    kind: Literal["table"] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


ReportItem = Annotated[
    LineChart | MatrixChart | BarChart | ReportTable, Field(discriminator="kind")
]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(ReportItem)


def exhibit(value: Mapping[str, Any]) -> Any:
    """Parse a report item of a metrics report."""
    return _ADAPTER.validate_python(value)


def dump_report_items(exhibits: Mapping[str, Section]) -> dict[str, Any]:
    """Convert report items to JSON, for the key EXHIBITS of a report."""
    return {name: item.model_dump(mode="json") for name, item in exhibits.items()}


def wanted_parts(exist: Sequence[str], parts: Any) -> list[str]:
    """Return those of the existing parts that are requested; None requests all."""
    return [part for part in exist if parts is None or part in parts]


def values_of(report: Any, part: str, metric: str) -> dict[str, float]:
    """Return one metric on one part, by model and baseline; empty if it is not in the report."""
    groups = ((report or {}).get("parts") or {}).get(part) or {}
    for group in groups.values():
        row = group.get(metric) if isinstance(group, Mapping) else None
        if isinstance(row, Mapping):
            return {name: value for name, value in row.items() if isinstance(value, int | float)}
    return {}


def compare_with_baselines(values: Mapping[str, float], metric: str, *, who: str) -> str:
    """Compare OURS with the baselines; log the verdict, as a warning unless OURS beats them all."""
    names = [name for name in values if name != OURS]
    lost = [name for name in names if not values[OURS] > values[name]]
    numbers = ", ".join(f"{name} {values[name]:.4f}" for name in names)
    shown = lost or names
    which = f"the {' and '.join(shown)} baseline{'s' * (len(shown) > 1)}"
    if len(shown) == len(names) > 1:
        which = "both baselines" if len(names) == 2 else "all baselines"
    found = f"is BELOW {which}: it is broken or undertrained" if lost else f"beats {which}"
    verdict = f"{metric}: the {who} {found} ({who} {values[OURS]:.4f}, {numbers})"
    logger.log(logging.WARNING if lost else logging.INFO, "%s", verdict)
    return verdict
