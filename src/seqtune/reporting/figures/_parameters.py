"""Figures of the parameters and the score."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from seqtune.core.format import format_value
from seqtune.core.trials import Trial, Value

from ._style import (
    BLUE,
    CLEAR,
    FAINT,
    GREY,
    ORANGE,
    TEXT,
    WORST_TO_BEST,
    Mode,
    add_trials,
    figure,
    is_number,
    log_ticks,
    nothing,
    scored,
    short,
    style_axes,
)

ABSENT = "none"
"""The tick of trials in which a parameter did not exist."""
COLUMNS = 3
GUIDES = (0.05, 0.1)
"""Shares at which narrowing decides differently."""


def importances(
    values: Mapping[str, float], *, note: str = "", is_noise: bool = False
) -> go.Figure:
    """Draw the share of each parameter; grey if the values are noise."""
    title = "Importance of the parameters"
    if not any(values.values()):
        return nothing(title, note or "no parameter separates the best trials from the others")
    keys = sorted(values, key=values.__getitem__)
    drawn = figure(title, subtitle=note, x="share", height=max(260, 150 + 28 * len(keys)))
    drawn.add_bar(
        orientation="h",
        y=[short(key) for key in keys],
        x=[values[key] for key in keys],
        marker={"color": GREY if is_noise else BLUE},
        text=[f"{values[key]:.2f}" for key in keys],
        textposition="outside",
        cliponaxis=False,
        hovertext=keys,
        hoverinfo="text",
    )
    for guide in GUIDES:
        drawn.add_vline(x=guide, line={"color": TEXT, "dash": "dot", "width": 1}, opacity=0.7)
    drawn.update_layout(bargap=0.35)
    drawn.update_yaxes(showgrid=False)
    drawn.update_xaxes(range=[0, 1.2 * max(values.values())])  # room for the longest bar's number
    return drawn


def parallel_coordinates(
    trials: Sequence[Trial], *, metric: str, mode: Mode, log: Collection[str] = ()
) -> go.Figure:
    """Draw complete trials as lines through their values; orange is the best score."""
    title = f"Parameters of all complete trials, and their {metric}"
    done = sorted(
        scored(trials, "complete"),
        key=lambda trial: (trial.score or 0.0) * (1 if mode == "max" else -1),
    )
    keys = list(dict.fromkeys(key for trial in done for key in trial.params))
    if not done or not keys:
        return nothing(title, "no trial is complete yet")
    scores = [trial.score for trial in done]
    drawn = figure(title, subtitle="orange is best", height=460)
    drawn.add_parcoords(
        line={"color": scores, "colorscale": WORST_TO_BEST, "reversescale": mode == "min"},
        dimensions=[
            *(_dimension(key, done, is_log=key in log) for key in keys),
            {"label": metric, "values": scores},
        ],
        labelfont={"size": 12, "color": TEXT},
        labelangle=-12,
        tickfont={"size": 11, "color": TEXT, "shadow": "none"},
        rangefont={"size": 1, "color": CLEAR},
        unselected={"line": {"color": GREY, "opacity": 0.08}},
    )
    drawn.update_layout(margin={"t": 150, "l": 60, "r": 60, "b": 30})
    return drawn


def _dimension(key: str, trials: Sequence[Trial], *, is_log: bool) -> dict[str, Any]:
    """Return one axis: choices are whole numbers; trials without the parameter lie below."""
    values = [trial.params.get(key) for trial in trials]
    has_all = all(key in trial.params for trial in trials)
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    label = {"label": short(key).rpartition(".")[2]}
    if len(numbers) < sum(key in trial.params for trial in trials) or len(set(numbers)) <= 3:
        return label | _choices_dimension([t.params.get(key, ABSENT) for t in trials])
    is_log = is_log and min(numbers) > 0
    places = [math.log10(number) if is_log else number for number in numbers]
    low, high = min(places), max(places)
    absent = low - 0.12 * ((high - low) or 1.0)
    known = iter(places)
    axis: dict[str, Any] = {
        **label,
        "values": [next(known) if key in trial.params else absent for trial in trials],
    }
    if is_log:
        axis["tickvals"], axis["ticktext"] = log_ticks(min(numbers), max(numbers))
    elif not has_all:
        axis["tickvals"] = [low + (high - low) * share / 4 for share in range(5)]
        axis["ticktext"] = [f"{value:.3g}" for value in axis["tickvals"]]
    if not has_all:
        axis["tickvals"] = [absent, *axis["tickvals"]]
        axis["ticktext"] = [ABSENT, *axis["ticktext"]]
        axis["range"] = [absent, high]
    return axis


def _choices_dimension(values: Sequence[Value]) -> dict[str, Any]:
    choices = _ordered(values)
    return {
        "values": [choices.index(format_value(value)) for value in values],
        "tickvals": list(range(len(choices))),
        "ticktext": choices,
        "range": [-0.25, len(choices) - 0.75],
    }


def _ordered(values: Sequence[Value]) -> list[str]:
    """Return the texts of all choices: numbers by size, then texts."""
    distinct = dict.fromkeys(values)
    ordered = sorted(distinct, key=lambda v: (not is_number(v), v if is_number(v) else 0, str(v)))
    return list(dict.fromkeys(map(format_value, ordered)))


def slices(
    trials: Sequence[Trial],
    *,
    metric: str,
    mode: Mode,
    keys: Sequence[str] = (),
    log: Collection[str] = (),
) -> go.Figure:
    """Draw the score against each parameter of `keys`, by default all."""
    title = f"{metric} by parameter"
    done = scored(trials, "complete", "pruned")
    keys = keys or list(dict.fromkeys(key for trial in done for key in trial.params))
    if not done or not keys:
        return nothing(title, "no trial is complete yet")
    columns = min(COLUMNS, len(keys))
    rows = math.ceil(len(keys) / columns)
    drawn = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        vertical_spacing=min(0.24, 0.26 / rows + 0.04),
    )
    best = (max if mode == "max" else min)(done, key=lambda trial: trial.score or 0.0)
    drawn.update_layout(
        figure(title, subtitle="orange: best trial", height=150 + 230 * rows).layout
    )
    for index, key in enumerate(keys):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        _add_slice(drawn, key, done, best, place=place, is_first=index == 0)
        _set_axis(drawn, key, done, place=place, is_log=key in log)
    for row in range(1, rows + 1):
        drawn.update_yaxes(title_text=metric, row=row, col=1)
    style_axes(drawn)
    return drawn


def _add_slice(
    drawn: go.Figure,
    key: str,
    trials: Sequence[Trial],
    best: Trial,
    *,
    place: Mapping[str, int],
    is_first: bool,
) -> None:
    looks: dict[str, dict[str, Any]] = {
        "pruned": {"symbol": "x-thin", "size": 6, "line": {"color": GREY, "width": 1.4}},
        "complete": {"color": BLUE, "symbol": "circle", "size": 6, "opacity": 0.6},
        "best": {"color": ORANGE, "symbol": "circle", "size": 11},
    }
    for name, look in looks.items():
        some = [best] if name == "best" else [trial for trial in trials if trial.state == name]
        some = [trial for trial in some if key in trial.params]
        values = [trial.params[key] for trial in some]
        places = [value if is_number(value) else format_value(value) for value in values]
        group: dict[str, Any] = {"legendgroup": name, "showlegend": is_first}
        add_trials(drawn, some, name, x=places, marker=look, **group, **place)


def _set_axis(
    drawn: go.Figure,
    key: str,
    trials: Sequence[Trial],
    *,
    place: Mapping[str, int],
    is_log: bool,
) -> None:
    values = [trial.params[key] for trial in trials if key in trial.params]
    label = {"text": short(key), "font": {"size": 12}, "standoff": 6}
    drawn.update_xaxes(title=label, showline=True, linecolor=FAINT, **place)
    if not values or not all(map(is_number, values)) or len(set(values)) <= 3:
        drawn.update_xaxes(
            type="category",
            categoryorder="array",
            categoryarray=_ordered(values),
            range=[-0.6, len(_ordered(values)) - 0.4],
            **place,
        )
    elif is_log:
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        places, texts = log_ticks(min(numbers), max(numbers))
        ticks = {"tickvals": [10**position for position in places], "ticktext": texts}
        drawn.update_xaxes(type="log", tickangle=0, **ticks, **place)
    else:
        drawn.update_xaxes(nticks=5, tickangle=0, **place)
