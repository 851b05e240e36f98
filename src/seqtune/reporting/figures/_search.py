"""Figures of a search: over trials, over epochs, over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

import plotly.graph_objects as go

from seqtune.core.format import format_duration
from seqtune.core.trials import State, Trial, ranked

from ._style import GREY, ORANGE, STATE_COLOURS, Mode, add_trials, figure, hover, nothing, scored

UNSCORED: tuple[State, ...] = ("infeasible", "failed", "lost")


def history(trials: Sequence[Trial], *, metric: str, mode: Mode) -> go.Figure:
    """Draw the score of every trial, the best so far, and marks for trials without a score."""
    title = f"History of {metric}"
    done = sorted(scored(trials, "complete"), key=lambda trial: trial.number)
    if not done:
        return nothing(title, "no trial is complete yet")
    best = list(accumulate((trial.score or 0.0 for trial in done), max if mode == "max" else min))
    leader = ranked(done, mode=mode)[0]
    drawn = figure(
        title,
        subtitle=f"best {leader.score:.5g} in trial {leader.number}; {len(done)} complete trials",
        x="trial",
        y=f"{metric} ({'higher' if mode == 'max' else 'lower'} is better)",
    )
    drawn.add_scatter(
        x=[trial.number for trial in done],
        y=best,
        name="best so far",
        mode="lines",
        line={"shape": "hv", "color": ORANGE, "width": 2.5},
        hoverinfo="skip",
    )
    blue, grey = STATE_COLOURS["complete"], STATE_COLOURS["pruned"]
    dot = {"symbol": "circle", "size": 8, "color": blue, "opacity": 0.85}
    cross = {**dot, "symbol": "x-thin", "color": grey, "line": {"color": grey, "width": 2}}
    add_trials(drawn, done, "complete", marker=dot)
    add_trials(drawn, scored(trials, "pruned"), "pruned", marker=cross)
    for state in UNSCORED:  # along the lower edge
        some = [trial for trial in trials if trial.state == state]
        mark = {"symbol": "triangle-up", "size": 10, "color": STATE_COLOURS[state]}
        add_trials(drawn, some, state, y=[0.015] * len(some), yaxis="y2", marker=mark)
    drawn.update_layout(
        yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    )
    return drawn


def intermediate_values(trials: Sequence[Trial], *, metric: str, mode: Mode) -> go.Figure:
    """Draw the curve of every trial; pruned ones dashed, the best one on top."""
    title = f"{metric} over the epochs"
    curved = [trial for trial in trials if trial.curve]
    if not curved:
        return nothing(title, "no trial has reported an epoch yet")
    best = ranked(curved, mode=mode)[:1]
    complete = [t for t in curved if t.state != "pruned" and t not in best]
    pruned = [trial for trial in curved if trial.state == "pruned"]
    drawn = figure(
        title, subtitle=f"{len(curved)} trials, {len(pruned)} of them pruned", x="epoch", y=metric
    )
    blue = STATE_COLOURS["complete"]
    _add_curves(drawn, complete, "complete", colour=blue, dash="solid", width=1.2, opacity=0.45)
    _add_curves(drawn, pruned, "pruned", colour=GREY, dash="dash", width=1.4, opacity=0.9)
    name = f"best (trial {best[0].number})" if best else ""
    _add_curves(drawn, best, name, colour=ORANGE, dash="solid", width=3.0, opacity=1.0)
    drawn.update_xaxes(rangemode="tozero")
    return drawn


def _add_curves(
    drawn: go.Figure,
    trials: Sequence[Trial],
    name: str,
    *,
    colour: str,
    dash: str,
    width: float,
    opacity: float,
) -> None:
    """Draw curves as one trace with gaps: a hundred traces would make a page slow."""
    if not trials:
        return
    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for trial in trials:
        epochs = sorted(trial.curve)
        xs += [*epochs, None]
        ys += [*(trial.curve[epoch] for epoch in epochs), None]
        texts += [f"trial {trial.number}"] * (len(epochs) + 1)
    drawn.add_scatter(
        x=xs,
        y=ys,
        name=name,
        mode="lines+markers" if max(len(trial.curve) for trial in trials) == 1 else "lines",
        connectgaps=False,
        line={"color": colour, "dash": dash, "width": width},
        opacity=opacity,
        text=texts,
        hovertemplate="%{text}, epoch %{x}: %{y:.5g}<extra></extra>",
    )


def timeline(trials: Sequence[Trial]) -> go.Figure:
    """Draw when each worker trained which trial, and how it ended."""
    title = "Timeline of the workers"
    timed = [trial for trial in trials if trial.started and trial.seconds is not None]
    if not timed:
        return nothing(title, "no trial has a start and a duration yet")
    workers = sorted({trial.worker or "worker" for trial in timed})
    busy = sum(trial.seconds or 0.0 for trial in timed)
    by = "1 worker" if len(workers) == 1 else f"{len(workers)} workers"
    drawn = figure(
        title,
        subtitle=f"{len(timed)} trials, {format_duration(busy)} of work by {by}",
        x="time (UTC)",
        height=max(280, 200 + 42 * len(workers)),
    )
    for state, colour in STATE_COLOURS.items():
        some = [trial for trial in timed if trial.state == state]
        if some:
            drawn.add_bar(
                orientation="h",
                name=state,
                y=[trial.worker or "worker" for trial in some],
                base=[_when(trial) for trial in some],
                x=[1000.0 * (trial.seconds or 0.0) for trial in some],
                marker={"color": colour, "line": {"color": "rgba(255,255,255,0.6)", "width": 1}},
                text=[hover(trial) for trial in some],
                textposition="none",
                hoverinfo="text",
            )
    drawn.update_layout(barmode="overlay", bargap=0.35, showlegend=True)
    drawn.update_xaxes(type="date")
    drawn.update_yaxes(categoryorder="array", categoryarray=workers[::-1], showgrid=False)
    return drawn


def _when(trial: Trial) -> str:
    return datetime.fromisoformat(trial.started or "").replace(tzinfo=None).isoformat()
