"""The form of a report of metrics: what `evaluate` of every task returns.

    headline    lines that sum it up
    parts       {part: {"verdict": str, group: {metric: {"model": x, floor: y, ...}}, ...}}
    exhibits    {name: what is to be drawn or tabulated}; see below
    fingerprint, data_hash, protocol, definitions, ...    what was scored, and how to read it

Of a part, every value that is a mapping of mappings is a group of metrics; others are facts.
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
    """Curves over a common axis."""

    kind: Literal["lines"] = "lines"
    title: str
    x: str
    """What the axis shows, in words."""
    y: str
    lines: tuple[Curve, ...]
    marks: tuple[Curve, ...] = ()
    """Points worth pointing at, by name of their line."""


class MatrixChart(Section):
    """Numbers by row and column, drawn as shades."""

    kind: Literal["matrix"] = "matrix"
    title: str
    x: str
    y: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


class BarChart(Section):
    """Numbers by name, in groups side by side."""

    kind: Literal["bars"] = "bars"
    title: str
    x: str
    y: str
    names: tuple[str, ...]
    bars: dict[str, tuple[float | None, ...]]
    """One number for each name, by group."""


class ReportTable(Section):
    """Rows to be read."""

    kind: Literal["table"] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


ReportItem = Annotated[
    LineChart | MatrixChart | BarChart | ReportTable, Field(discriminator="kind")
]
_ANY: TypeAdapter[Any] = TypeAdapter(ReportItem)


def exhibit(value: Mapping[str, Any]) -> Any:
    """From a report of metrics back to what is drawn."""
    return _ANY.validate_python(value)


def dump_report_items(exhibits: Mapping[str, Section]) -> dict[str, Any]:
    """JSON-ready, for the key EXHIBITS of a report."""
    return {name: one.model_dump(mode="json") for name, one in exhibits.items()}


def wanted_parts(exist: Sequence[str], parts: Any) -> list[str]:
    """The parts that exist and are asked for; None asks for all."""
    return [part for part in exist if parts is None or part in parts]


def compare_with_baselines(values: Mapping[str, float], metric: str, *, who: str) -> str:
    """Say, and log, how OURS stands to the baselines; a warning unless it beats all of them."""
    names = [name for name in values if name != OURS]
    lost = [name for name in names if not values[OURS] > values[name]]
    numbers = ", ".join(f"{name} {values[name]:.4f}" for name in names)
    shown = lost or names
    which = "both floors" if len(shown) > 1 else f"the {shown[0]} floor"
    found = f"is BELOW {which}: it is broken or undertrained" if lost else f"beats {which}"
    verdict = f"{metric}: the {who} {found} ({who} {values[OURS]:.4f}, {numbers})"
    logger.log(logging.WARNING if lost else logging.INFO, "%s", verdict)
    return verdict
