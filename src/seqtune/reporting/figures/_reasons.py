"""Figures that explain recommendations. Names come from data, so all are escaped."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from ._matrix import add_matrix, name_rows
from ._style import BLUE, figure, label, nothing

MOST = 25
"""The last items of a history that a figure has room for."""
ROW_HEIGHT = 30


def nearest(item: str, names: Sequence[str], similarities: Sequence[float]) -> go.Figure:
    """Draw the items nearest to one, by cosine."""
    title = f"Nearest to {label(item)}"
    if not names:
        return nothing(title, "there is no other item")
    drawn = figure(title, x="cosine similarity", height=150 + ROW_HEIGHT * len(names))
    drawn.add_bar(
        orientation="h",
        y=list(range(len(names))),
        x=list(similarities),
        marker={"color": BLUE},
        text=[f"{value:.2f}" for value in similarities],
        textposition="auto",
        hoverinfo="skip",
    )
    name_rows(drawn, names)
    drawn.update_layout(bargap=0.35)
    drawn.update_xaxes(range=[min(0.0, *similarities) * 1.05, 1.0])
    return drawn


def attention(history: Sequence[str], weights: Sequence[Sequence[Sequence[float]]]) -> go.Figure:
    """Draw the attention of [MASK]: `weights` by layer, head and item of the history."""
    title = "Where the model looks"
    if not history:
        return nothing(title, "the user has no history that the model knows")
    heads = [
        (f"layer {layer}, head {head}", shares)
        for layer, row in enumerate(weights, start=1)
        for head, shares in enumerate(row, start=1)
    ]
    return _grid(
        title,
        "attention of the next, unknown item to each item of the history; darker is more",
        history,
        rows=[name for name, _ in heads],
        values=[shares for _, shares in heads],
        form="{:.0%}",
    )


def effects(
    history: Sequence[str], items: Sequence[str], values: Sequence[Sequence[float]]
) -> go.Figure:
    """Draw the effect of each history item on each recommended one: `values` by item, history."""
    title = "What each item of the history does"
    if not history or not items:
        return nothing(title, "the list does not depend on a history")
    return _grid(
        title,
        "log-probability of the recommended item (row) with an item of the history (column), less "
        "without it; blue: speaks for, orange: against; 0.7 makes it twice as likely",
        history,
        rows=items,
        values=values,
        form="{:+.2f}",
    )


def agreement(names: Sequence[str], shares: Sequence[Sequence[float]]) -> go.Figure:
    """Draw how much of their lists each two models have in common."""
    title = "Agreement between the members' lists"
    if not names:
        return nothing(title, "there are no members")
    return _grid(
        title,
        "mean share of a user's list that two members have in common",
        names,
        rows=names,
        values=shares,
        form="{:.0%}",
    )


def _grid(
    title: str,
    subtitle: str,
    columns: Sequence[str],
    *,
    rows: Sequence[str],
    values: Sequence[Sequence[float]],
    form: str,
) -> go.Figure:
    """Draw a matrix whose columns are oldest first, and only the last ones."""
    cut = f"; the last {MOST} of {len(columns)} items" if len(columns) > MOST else ""
    columns, values = columns[-MOST:], [row[-MOST:] for row in values]
    drawn = figure(title, subtitle=subtitle + cut, height=250 + ROW_HEIGHT * len(rows))
    texts = [[form.format(value) for value in row] for row in values]
    add_matrix(drawn, rows, columns, values, texts=texts, most_written=MOST // 2)
    return drawn
