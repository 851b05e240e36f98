"""One style for all figures: readable on white and on black, and by the colour-blind."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go

from seqtune.core.format import format_value, shorten
from seqtune.core.trials import State, Trial

BLUE, ORANGE, GREEN, RED, PURPLE = "#2F8FCB", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
GREY = "#8C939D"
TEXT = "#767D88"
"""Contrast above 4 on white as on #1a1a1a."""
FAINT = "rgba(128, 134, 145, 0.22)"
CLEAR = "rgba(0, 0, 0, 0)"
AXIS = {"gridcolor": FAINT, "linecolor": FAINT, "zeroline": False, "tickcolor": FAINT}
WORST_TO_BEST = [[0.0, "#A8B0BA"], [0.55, BLUE], [1.0, ORANGE]]
STATE_COLOURS: dict[State, str] = {
    "complete": BLUE,
    "pruned": GREY,
    "infeasible": PURPLE,
    "failed": RED,
    "lost": ORANGE,
    "running": GREEN,
    "waiting": GREY,
}
Mode = Literal["max", "min"]
HEIGHT = 440
SUBTITLE_WIDTH = 88
"""In characters, for a figure 600 points wide."""
LINE_HEIGHT = 17
MAX_LABEL = 28
MAX_NAME = 36


def figure(
    title: str, *, subtitle: str = "", x: str = "", y: str = "", height: int = HEIGHT
) -> go.Figure:
    """Return an empty figure in this style."""
    axis = {**AXIS, "automargin": True, "ticks": "outside", "ticklen": 4}
    lines = textwrap.wrap(subtitle, SUBTITLE_WIDTH)
    more = LINE_HEIGHT * max(0, len(lines) - 1)
    drawn = go.Figure()
    drawn.update_layout(
        template="none",
        height=height + more,
        title={
            "text": title,
            "x": 0.0,
            "xref": "paper",
            "xanchor": "left",
            "font": {"size": 17},
            "automargin": False,
            "yref": "container",
            "y": 1.0 - 26 / (height + more),
            "yanchor": "top",
            "subtitle": {"text": "<br>".join(lines), "font": {"size": 12.5, "color": TEXT}},
        },
        font={"family": "Inter, Segoe UI, Helvetica, Arial, sans-serif", "size": 13, "color": TEXT},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        margin={"l": 60, "r": 24, "t": 82 + more, "b": 88},
        legend={
            "orientation": "h",
            "x": 0.0,
            "xanchor": "left",
            "yref": "container",
            "y": 0.0,
            "yanchor": "bottom",
        },
        modebar={"bgcolor": CLEAR, "color": FAINT, "activecolor": TEXT},
        hoverlabel={"font": {"size": 12}},
        hovermode="closest",
        xaxis={**axis, "title": {"text": x, "standoff": 10}},
        yaxis={**axis, "title": {"text": y, "standoff": 10}},
    )
    return drawn


def nothing(title: str, text: str) -> go.Figure:
    """Return a figure that says why it shows nothing."""
    drawn = figure(title, height=220)
    drawn.update_xaxes(visible=False)
    drawn.update_yaxes(visible=False)
    drawn.add_annotation(text=text, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return drawn


def style_axes(drawn: go.Figure) -> None:
    """Style all pairs of axes like the first."""
    drawn.update_xaxes(**AXIS)
    drawn.update_yaxes(**AXIS)


def scored(trials: Sequence[Trial], *states: State) -> list[Trial]:
    """Return the trials of these states that have a finite score."""
    return [trial for trial in trials if trial.state in states and is_number(trial.score)]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def short(key: str) -> str:
    """Return the end of a long key."""
    return key if len(key) <= MAX_LABEL else f"..{key[-MAX_LABEL + 2 :]}"


def label(text: object) -> str:
    """Cut a text from data, and escape it, because Plotly renders some HTML."""
    return html.escape(shorten(str(text), MAX_NAME), quote=False)


def add_trials(drawn: go.Figure, trials: Sequence[Trial], name: str, **look: Any) -> None:
    """Draw trials as points with all details on hover; by default, scores by number."""
    if trials:
        numbers, scores = [t.number for t in trials], [t.score for t in trials]
        points = {"x": numbers, "y": scores, "mode": "markers", **look}
        text = [hover(trial) for trial in trials]
        drawn.add_scatter(name=name, text=text, hoverinfo="text", **points)


def hover(trial: Trial) -> str:
    """Return the details of a trial for its hover text."""
    lines = [f"<b>trial {trial.number}</b> ({trial.state})"]
    if trial.score is not None:
        lines.append(f"score {trial.score:.5g}")
    if trial.reason:
        lines.append(trial.reason)
    lines += [f"{key} = {format_value(value)}" for key, value in trial.params.items()]
    return "<br>".join(lines)


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Return positions (log10) and texts of ticks at 1, 2 and 5 between two values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    inside = [value for value in values if low * 0.999 <= value <= high * 1.001]
    inside = inside if len(inside) >= 2 else [low, high]
    return [math.log10(value) for value in inside], [f"{value:.3g}" for value in inside]
