"""Matrices as colours; the names of rows and columns come from data."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from ._style import BLUE, CLEAR, ORANGE, label

FAINT_TO_BLUE = [[0.0, "rgba(128, 134, 145, 0.10)"], [1.0, BLUE]]
FOR_AND_AGAINST = [[0.0, ORANGE], [0.5, FAINT_TO_BLUE[0][1]], [1.0, BLUE]]
Values = Sequence[Sequence[float | None]]


def add_matrix(
    drawn: go.Figure,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Values,
    *,
    texts: Sequence[Sequence[str]],
    most_written: int,
) -> None:
    """Draw positive values blue and negative ones orange, with texts if there are few columns."""
    known = [value for row in values for value in row if value is not None]
    most = max(map(abs, known), default=0.0) or 1.0
    has_signs = min(known, default=0.0) < 0
    is_written = len(columns) <= most_written
    drawn.add_heatmap(
        x=list(range(len(columns))),
        y=list(range(len(rows))),
        z=[list(row) for row in values],
        zmin=-most if has_signs else 0.0,
        zmax=most,
        colorscale=FOR_AND_AGAINST if has_signs else FAINT_TO_BLUE,
        xgap=1,
        ygap=1,
        showscale=False,
        text=[list(row) for row in texts],
        texttemplate="%{text}" if is_written else "",
        hovertext=[
            [f"{label(row)}<br>{label(c)}: {text}" for c, text in zip(columns, line, strict=True)]
            for row, line in zip(rows, texts, strict=True)
        ],
        hoverinfo="text",
        hoverongaps=False,
    )
    name_rows(drawn, rows)
    drawn.update_xaxes(
        tickvals=list(range(len(columns))),
        ticktext=[label(name) for name in columns],
        tickangle=-40 if is_written else -90,
        showgrid=False,
        ticks="",
        linecolor=CLEAR,
        tickfont={"size": _type_size(len(columns))},
    )


def name_rows(drawn: go.Figure, names: Sequence[str]) -> None:
    """Place rows by number, because two may have the same name; the first is on top."""
    drawn.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[label(name) for name in names],
        tickfont={"size": _type_size(len(names))},
        autorange="reversed",
        showgrid=False,
        ticks="",
        linecolor=CLEAR,
    )


def _type_size(num: int) -> float:
    return 12 if num <= 12 else 11 if num <= 25 else 9.5
