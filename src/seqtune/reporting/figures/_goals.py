"""Trade-offs between several objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from seqtune.core.trials import Trial

from ._style import BLUE, CLEAR, FAINT, GREY, ORANGE, figure, hover, nothing


def pareto_front(
    trials: Sequence[Trial], *, goals: Sequence[tuple[str, str]], picked: int | None = None
) -> go.Figure:
    """Draw complete trials by two or three objectives (metric, max or min), with the front."""
    title = "Pareto front" + (": " if goals else "") + ", ".join(metric for metric, _ in goals)
    done = [t for t in trials if t.state == "complete" and _fits(t, goals)]
    if len(goals) < 2:
        return nothing(title, "the search has one goal: there is no trade-off to show")
    if len(goals) > 3:
        return nothing(title, f"a front is drawn for 2 or 3 goals, there are {len(goals)}")
    if not done:
        return nothing(title, "no trial is complete yet")
    front = [t for t in done if not any(_dominates(other, t, goals) for other in done)]
    aims = "; ".join(f"{m} {'up' if mode == 'max' else 'down'}" for m, mode in goals)
    names = [metric for metric, _ in goals]
    drawn = figure(title, subtitle=f"{len(front)} of {len(done)} trials on the front; {aims}")
    drawn.update_layout(height=480)
    others = [trial for trial in done if trial not in front]
    pick = [trial for trial in done if trial.number == picked]
    _add_goal_points(drawn, others, names, "dominated", colour=GREY, size=7)
    _add_goal_points(drawn, front, names, "on the front", colour=BLUE, size=9)
    _add_goal_points(drawn, pick, names, "picked", colour=ORANGE, size=15, symbol="diamond")
    return drawn


def _fits(trial: Trial, goals: Sequence[tuple[str, str]]) -> bool:
    return len(trial.values) == len(goals) and all(map(math.isfinite, trial.values))


def _dominates(one: Trial, other: Trial, goals: Sequence[tuple[str, str]]) -> bool:
    signs = [1.0 if mode == "max" else -1.0 for _, mode in goals]
    steps = [sign * (a - b) for sign, a, b in zip(signs, one.values, other.values, strict=True)]
    return min(steps) >= 0.0 and max(steps) > 0.0


def _add_goal_points(
    drawn: go.Figure,
    trials: Sequence[Trial],
    names: Sequence[str],
    label: str,
    *,
    colour: str,
    size: int,
    symbol: str = "circle",
) -> None:
    if not trials:
        return
    ordered = sorted(trials, key=lambda trial: trial.values)
    axes = dict(zip("xyz", zip(*(trial.values for trial in ordered), strict=True), strict=False))
    common: dict[str, Any] = {
        "name": label,
        "marker": {"color": colour, "size": size, "symbol": symbol},
        "text": [hover(trial) for trial in ordered],
        "hoverinfo": "text",
        **{axis: list(values) for axis, values in axes.items()},
    }
    if len(names) == 3:
        common["marker"] |= {"size": size / 1.6}
        look = {"gridcolor": FAINT, "backgroundcolor": CLEAR}
        scene = {
            f"{axis}axis": {"title": name, **look} for axis, name in zip("xyz", names, strict=True)
        }
        drawn.add_scatter3d(mode="markers", **common)
        drawn.update_layout(scene=scene)
        return
    is_front = label == "on the front"
    line = {"color": BLUE, "width": 1.2, "dash": "dot"}
    drawn.add_scatter(mode="lines+markers" if is_front else "markers", line=line, **common)
    drawn.update_xaxes(title=names[0])
    drawn.update_yaxes(title=names[1])
