"""Draw the curves, matrices, bars and tables of a metrics report.

Names and titles come from data, so all are escaped.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from seqtune.core.config import Section
from seqtune.core.format import format_value, shorten
from seqtune.core.metrics import BarChart, Curve, LineChart, MatrixChart, ReportTable, exhibit

from ._matrix import add_matrix, name_rows
from ._style import (
    BLUE,
    CLEAR,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    TEXT,
    figure,
    label,
    nothing,
)

if TYPE_CHECKING:
    import pandas as pd

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
OVERLAID = len(COLOURS)
"""Curves in one pair of axes; if there are more, each gets a small panel."""
PANELS_IN_A_ROW = 4
PANEL_HEIGHT = 132
PANEL_NAME = 20
MOST_PANELS = 60
MOST_ROWS = 80
"""Of a matrix or of bars; no screen shows more."""
MAX_WRITTEN = 12
"""Columns of a matrix up to which it shows its numbers."""
UPRIGHT = 12
"""Names up to which bars are vertical; more are horizontal, so that each name can be read."""
NO_FIGURE = "Nothing to draw"


def draw_exhibit(shown: Mapping[str, Any] | Section | None, *, missing: str) -> go.Figure:
    """Draw a chart of a metrics report; `missing` says why there is none."""
    found = _read(shown)
    if isinstance(found, LineChart) and found.lines:
        return _lines(found)
    if isinstance(found, MatrixChart) and found.values:
        return _matrix(found)
    if isinstance(found, BarChart) and found.names and found.bars:
        return _bars(found)
    return nothing(_escape(found.title) if found else NO_FIGURE, html.escape(missing, quote=False))


def exhibit_table(shown: Mapping[str, Any] | Section | None) -> pd.DataFrame:
    """Return the rows of a table of a metrics report; an empty frame if there is none."""
    import pandas as pd

    found = _read(shown)
    if not isinstance(found, ReportTable):
        return pd.DataFrame()
    return pd.DataFrame.from_records(list(found.rows), columns=list(found.columns))


def _read(shown: Mapping[str, Any] | Section | None) -> Any:
    return exhibit(shown) if isinstance(shown, Mapping) else shown


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _lines(shown: LineChart) -> go.Figure:
    if len(shown.lines) > OVERLAID:
        return _panels(shown)
    drawn = figure(_escape(shown.title), x=_escape(shown.x), y=_escape(shown.y))
    for line, colour in zip(shown.lines, COLOURS, strict=False):
        _add_line(drawn, line, shown, colour=colour)
    drawn.update_layout(showlegend=len(shown.lines) > 1)
    if shown.log_x:
        drawn.update_xaxes(type="log", dtick=1)
    return drawn


def _panels(shown: LineChart) -> go.Figure:
    """Draw each curve in a small panel; all have the same axes."""
    lines = shown.lines[:MOST_PANELS]
    left_out = len(shown.lines) - len(lines)
    num_rows = math.ceil(len(lines) / PANELS_IN_A_ROW)
    height = 190 + PANEL_HEIGHT * num_rows
    cut = f"; {left_out} more are left out" if left_out else ""
    drawn = figure(
        _escape(shown.title), subtitle=_escape(f"{shown.y} against {shown.x}{cut}"), height=height
    )
    drawn.set_subplots(
        rows=num_rows,
        cols=PANELS_IN_A_ROW,
        subplot_titles=[label(shorten(line.name, PANEL_NAME)) for line in lines],
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.025,
        vertical_spacing=38 / (height - 158),
    )
    for place, line in enumerate(lines):
        row, column = divmod(place, PANELS_IN_A_ROW)
        _add_line(drawn, line, shown, colour=BLUE, row=row + 1, col=column + 1)
    faint = {"gridcolor": FAINT, "zeroline": False, "linecolor": CLEAR}
    drawn.update_xaxes(**faint, nticks=3, tickfont={"size": 10}, title="")
    drawn.update_yaxes(**faint, nticks=4, tickfont={"size": 10}, title="")
    drawn.update_annotations(font={"size": 11.5, "color": TEXT})
    drawn.update_layout(showlegend=False, margin={"t": 118, "b": 40})
    return drawn


def _add_line(
    drawn: go.Figure, line: Curve, shown: LineChart, *, colour: str, **place: int
) -> None:
    points = [mark for mark in shown.marks if mark.name == line.name]
    for one, look in [(line, {"mode": "lines"}), *((p, {"mode": "markers"}) for p in points)]:
        drawn.add_scatter(
            x=list(one.x),
            y=list(one.y),
            name=label(line.name),
            legendgroup=label(line.name),
            showlegend=look["mode"] == "lines",
            line={"color": colour, "width": 2},
            marker={"color": ORANGE if colour == BLUE and place else colour, "size": 9},
            hovertext=_points(one, shown),
            hoverinfo="text",
            **look,
            **place,
        )


def _points(line: Curve, shown: LineChart) -> list[str]:
    name, x_name, y_name = label(line.name), _escape(shown.x), _escape(shown.y)
    return [
        f"{name}<br>{x_name} {format_value(x)}<br>{y_name} {format_value(y)}"
        for x, y in zip(line.x, line.y, strict=True)
    ]


def _matrix(shown: MatrixChart) -> go.Figure:
    rows, columns = shown.rows[:MOST_ROWS], shown.columns[:MOST_ROWS]
    values = [row[:MOST_ROWS] for row in shown.values[:MOST_ROWS]]
    cut = ""
    if len(rows) < len(shown.rows) or len(columns) < len(shown.columns):
        cut = f"the first {MOST_ROWS} of {max(len(shown.rows), len(shown.columns))}"
    drawn = figure(
        _escape(shown.title),
        subtitle=cut,
        x=_escape(shown.x),
        y=_escape(shown.y),
        height=260 + _thickness(len(rows)) * len(rows),
    )
    texts = [[_number(value) for value in row] for row in values]
    add_matrix(drawn, rows, columns, values, texts=texts, most_written=MAX_WRITTEN)
    return drawn


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.2f}"


def _bars(shown: BarChart) -> go.Figure:
    names = shown.names[:MOST_ROWS]
    groups = {name: list(values[:MOST_ROWS]) for name, values in shown.bars.items()}
    ends = {name: list(pairs[:MOST_ROWS]) for name, pairs in shown.intervals.items()}
    is_flat = len(names) > UPRIGHT and not all(_is_bin(name) for name in names)
    cut = f"the first {MOST_ROWS} of {len(shown.names)}" if len(names) < len(shown.names) else ""
    x, y = _escape(shown.x), _escape(shown.y)
    height = 210 + (10 + 11 * len(groups)) * len(names) if is_flat else 440
    x, y = (y, x) if is_flat else (x, y)
    drawn = figure(_escape(shown.title), subtitle=cut, x=x, y=y, height=height)
    for (group, values), colour in zip(groups.items(), cycle(COLOURS), strict=False):
        within = _whiskers(values, ends.get(group, []))
        _add_bars(drawn, names, group, values, colour=colour, is_flat=is_flat, within=within)
    drawn.update_layout(barmode="group", bargap=0.3, showlegend=len(groups) > 1)
    if is_flat:
        name_rows(drawn, names)
    else:
        places = list(range(0, len(names), math.ceil(len(names) / (2 * UPRIGHT))))
        texts = [label(names[place]) for place in places]
        # slanted to the left where names do not fit: to the right, Plotly leaves out the last ones
        drawn.update_xaxes(
            tickvals=places, ticktext=texts, autotickangles=[0, -45, -90], showgrid=False
        )
        drawn.update_yaxes(rangemode="tozero")
    return drawn


def _add_bars(
    drawn: go.Figure,
    names: Sequence[str],
    group: str,
    values: Sequence[float | None],
    *,
    colour: str,
    is_flat: bool,
    within: Mapping[str, Any],
) -> None:
    places = list(range(len(names)))
    drawn.add_bar(
        x=list(values) if is_flat else places,
        y=places if is_flat else list(values),
        orientation="h" if is_flat else "v",
        name=label(group),
        marker={"color": colour},
        hovertext=[
            f"{label(name)}<br>{label(group)}: "
            + ("not there" if value is None else format_value(value))
            for name, value in zip(names, values, strict=True)
        ],
        hoverinfo="text",
        **({"error_x" if is_flat else "error_y": within} if within else {}),
    )


def _whiskers(
    values: Sequence[float | None], ends: Sequence[tuple[float | None, float | None]]
) -> dict[str, Any]:
    """Return the error bars of a group; none for a value without an interval."""
    if not ends:
        return {}
    pairs = list(zip(values, ends, strict=True))
    return {
        "type": "data",
        "symmetric": False,
        "array": [_distance(value, high) for value, (_, high) in pairs],
        "arrayminus": [_distance(value, low) for value, (low, _) in pairs],
        "color": GREY,
        "thickness": 1,
    }


def _distance(value: float | None, end: float | None) -> float:
    return 0.0 if value is None or end is None else abs(end - value)


def _is_bin(name: str) -> bool:
    """Return whether a name begins with a number: a bar of a histogram."""
    return name[:1].isdigit()


def _thickness(num: int) -> int:
    return 30 if num <= MAX_WRITTEN else 22 if num <= 2 * MAX_WRITTEN else 15
