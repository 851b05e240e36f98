"""Figures of decisions: narrowed ranges, and re-ranked trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from seqtune.core.format import format_value, shorten

from ._style import BLUE, CLEAR, FAINT, GREY, ORANGE, TEXT, figure, nothing, short

ROW_HEIGHT = 44
MARGIN, MARGIN_CHARACTERS = 190, 26
"""At the right: pixels, and the letters that fit; choices stand in the figure too."""


def narrowing(decisions: Sequence[Mapping[str, Any]], *, refused: str = "") -> go.Figure:
    """Draw each parameter's range before and after, with the top trials as ticks.

    A decision: key, action, before, after, top.
    """
    title = "From the quick to the medium space"
    if not decisions:
        return nothing(title, refused or "no parameter was decided upon")
    drawn = figure(
        title,
        subtitle=refused or "grey: searched before; blue: searched next; orange: the top trials",
        height=130 + ROW_HEIGHT * len(decisions),
    )
    for index, decision in enumerate(reversed(decisions)):
        if _is_range(decision["before"]):
            _add_range(drawn, index, decision)
        else:
            _add_choices(drawn, index, decision)
        action = decision["action"]
        extent = shorten(_extent(decision["after"]), MARGIN_CHARACTERS - len(action))
        drawn.add_annotation(
            x=1.02,
            xref="paper",
            y=index,
            xanchor="left",
            showarrow=False,
            align="left",
            font={"size": 12},
            text=f"<b>{action}</b>  {extent}",
        )
    keys = [short(decision["key"]) for decision in reversed(decisions)]
    drawn.update_yaxes(tickvals=list(range(len(keys))), ticktext=keys, showgrid=False)
    drawn.update_xaxes(range=[-0.03, 1.03], visible=False)
    drawn.update_layout(showlegend=False, margin={"r": MARGIN, "b": 40})
    return drawn


def _is_range(extent: Mapping[str, Any]) -> bool:
    return "low" in extent


def _add_range(drawn: go.Figure, index: int, decision: Mapping[str, Any]) -> None:
    before, after, top = decision["before"], decision["after"], decision["top"]
    is_log = bool(before.get("log"))
    ends = [before["low"], before["high"], *_ends(after)]
    low, high = min(ends), max(ends)

    def at(value: float) -> float:
        scale = (lambda x: math.log(max(x, 1e-300))) if is_log else float
        width = scale(high) - scale(low)
        return (scale(value) - scale(low)) / width if width else 0.5

    _add_bar(drawn, index, [at(before["low"]), at(before["high"])], colour=FAINT, width=16)
    _add_bar(drawn, index, [at(end) for end in _ends(after)], colour=BLUE, width=8)
    values, line = top.get("values", ()), {"color": ORANGE, "width": 2}
    drawn.add_scatter(
        x=[at(value) for value in values],
        y=[index] * len(values),
        mode="markers",
        marker={"symbol": "line-ns", "size": 13, "color": ORANGE, "line": line},
        text=[f"{decision['key']} = {format_value(value)}" for value in values],
        hoverinfo="text",
    )
    for value, side in ((before["low"], "left"), (before["high"], "right")):
        drawn.add_annotation(
            x=at(value),
            y=index,
            text=f"{value:.4g}",
            showarrow=False,
            yshift=-15,
            xanchor=side,
            font={"size": 10},
        )


def _ends(after: Mapping[str, Any]) -> list[float]:
    """Return the ends of the searched range; both are the same for a fixed number."""
    if _is_range(after):
        return [after["low"], after["high"]]
    numbers = [value for value in after.get("choices", ()) if isinstance(value, int | float)]
    return [min(numbers), max(numbers)] if numbers else []


def _add_bar(
    drawn: go.Figure, index: int, ends: Sequence[float], *, colour: str, width: int
) -> None:
    if not ends:
        return
    is_point = ends[0] == ends[1]
    drawn.add_scatter(
        x=list(ends),
        y=[index, index],
        mode="markers" if is_point else "lines",
        line={"color": colour, "width": width},
        marker={"color": colour, "size": width + 6, "symbol": "diamond"},
        hoverinfo="skip",
    )


def _add_choices(drawn: go.Figure, index: int, decision: Mapping[str, Any]) -> None:
    before, after = decision["before"].get("choices", []), decision["after"].get("choices", [])
    choices = list(dict.fromkeys([*before, *after]))
    names = map(str, decision["top"].get("choices", []))
    top = dict(zip(names, decision["top"].get("counts", []), strict=True))
    places = [(i + 0.5) / len(choices) for i in range(len(choices))]
    drawn.add_scatter(
        x=places,
        y=[index] * len(choices),
        mode="markers",
        marker={
            "symbol": "square",
            "size": 16,
            "color": [BLUE if choice in after else CLEAR for choice in choices],
            "line": {"color": [BLUE if one in after else GREY for one in choices], "width": 2},
        },
        hovertext=[f"{choice}: {top.get(str(choice), 0)} of the top trials" for choice in choices],
        hoverinfo="text",
    )
    for place, choice in zip(places, choices, strict=True):
        drawn.add_annotation(
            x=place,
            y=index,
            xshift=14,
            xanchor="left",
            showarrow=False,
            text=format_value(choice),
            font={"size": 11},
        )
        if num := top.get(str(choice)):
            drawn.add_annotation(
                x=place,
                y=index,
                yshift=-17,
                showarrow=False,
                text=f"x{num}",
                font={"size": 10, "color": ORANGE},
            )


def _extent(extent: Mapping[str, Any]) -> str:
    if not extent:
        return "not searched"
    if _is_range(extent):
        return f"{extent['low']:.4g} .. {extent['high']:.4g}"
    return ", ".join(format_value(choice) for choice in extent.get("choices", ()))


def rerank(rows: Sequence[Mapping[str, Any]], *, metric: str, reason: str = "") -> go.Figure:
    """Draw the score with one seed against those with fresh seeds, the winner on top.

    A row: trial, single, mean, std, scores.
    """
    title = "The best trials again, over fresh seeds"
    tried = [row for row in rows if row["mean"] is not None]
    if not tried:
        return nothing(title, "no trial was run over fresh seeds")
    names = [_trial_name(row) for row in tried]
    drawn = figure(title, subtitle=reason, x=metric, height=210 + ROW_HEIGHT * len(tried))
    _add_dots(drawn, tried)
    drawn.add_scatter(
        x=[row["mean"] for row in tried],
        y=names,
        name="mean, one standard deviation",
        mode="markers",
        error_x={"array": [row["std"] or 0.0 for row in tried], "thickness": 2, "color": BLUE},
        marker={"size": 12, "color": [ORANGE] + [BLUE] * (len(tried) - 1)},
        hovertemplate="%{y}: mean %{x:.5g}<extra></extra>",
    )
    drawn.add_scatter(
        x=[row["single"] for row in tried],
        y=names,
        name="in the search (one seed)",
        mode="markers",
        marker={"symbol": "diamond-open", "size": 12, "color": TEXT, "line": {"width": 2}},
        hovertemplate="%{y}: %{x:.5g} in the search<extra></extra>",
    )
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1], showgrid=False)
    return drawn


def _trial_name(row: Mapping[str, Any]) -> str:
    return "default" if row["trial"] < 0 else f"trial {row['trial']}"


def _add_dots(drawn: go.Figure, rows: Sequence[Mapping[str, Any]]) -> None:
    points = [
        (score, _trial_name(row), seed) for row in rows for seed, score in row["scores"].items()
    ]
    drawn.add_scatter(
        x=[score for score, _, _ in points],
        y=[name for _, name, _ in points],
        name="fresh seeds",
        mode="markers",
        marker={"size": 7, "color": GREY, "opacity": 0.8},
        text=[f"seed {seed}: {score:.5g}" for score, _, seed in points],
        hoverinfo="text",
    )
