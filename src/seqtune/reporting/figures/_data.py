"""Figures of the data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import plotly.graph_objects as go

from ._style import BLUE, GREY, ORANGE, figure, nothing

NUM_POINTS = 200
"""Of a curve; more would make a page slow."""
HEAD = 0.1


def lengths(values: Sequence[int], *, num_bins: int = 50) -> go.Figure:
    """Count users by the length of their histories; the last bar holds the longest."""
    title = "Length of histories"
    if not len(values):
        return nothing(title, "there are no users")
    ordered = sorted(values)
    middle, long, longest = ordered[len(ordered) // 2], _at(ordered, 0.99), ordered[-1]
    width = max(1, -(-(long - ordered[0] + 1) // num_bins))
    counts: dict[int, int] = {}
    for value in ordered:
        start = min(value, long) // width * width
        counts[start] = counts.get(start, 0) + 1
    drawn = figure(
        title,
        subtitle=f"{len(ordered):,} users; half have {middle:,} or more; the longest has "
        f"{longest:,}" + (f" (the last bar holds all above {long:,})" if longest > long else ""),
        x="interactions of a user",
        y="users",
    )
    drawn.add_bar(
        x=[start + (width - 1) / 2 for start in counts],
        y=list(counts.values()),
        width=width * 0.92,
        marker={"color": BLUE},
        hovertext=[
            f"{start} to {start + width - 1}: {num:,} users" for start, num in counts.items()
        ],
        hoverinfo="text",
    )
    drawn.add_vline(x=middle, line={"color": ORANGE, "dash": "dot", "width": 2})
    return drawn


def _at(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def popularity(counts: Sequence[int]) -> go.Figure:
    """Draw the share of all interactions that the most popular items make up."""
    title = "Popularity of items"
    total = sum(counts)
    if not total:
        return nothing(title, "there are no interactions")
    ordered = sorted(counts, reverse=True)
    sums = list(accumulate(ordered, initial=0))
    step = max(1, len(ordered) // NUM_POINTS)
    places = [*range(0, len(ordered), step), len(ordered)]
    head = max(1, round(HEAD * len(ordered)))
    drawn = figure(
        title,
        subtitle=f"the most popular {head:,} of {len(ordered):,} items make up "
        f"{sums[head] / total:.0%} of {total:,} interactions",
        x="share of items, most popular first",
        y="share of interactions",
    )
    drawn.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        name="if all were equal",
        hoverinfo="skip",
        line={"color": GREY, "dash": "dot"},
    )
    drawn.add_scatter(
        x=[place / len(ordered) for place in places],
        y=[sums[place] / total for place in places],
        mode="lines",
        name="these data",
        line={"color": BLUE, "width": 3},
        hovertemplate="%{x:.0%} of the items: %{y:.0%} of the interactions<extra></extra>",
    )
    drawn.update_xaxes(tickformat=".0%", range=[0, 1])
    drawn.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return drawn


def activity(edges: Sequence[str | float], counts: Sequence[int]) -> go.Figure:
    """Draw interactions over time, counted between edges (ISO dates or numbers)."""
    title = "Interactions over time"
    if not counts:
        return nothing(title, "the data have no times: the order of rows is all there is")
    drawn = figure(title, x="time", y="interactions")
    drawn.add_scatter(
        x=list(edges),
        y=[*counts, counts[-1]],
        mode="lines",
        line={"shape": "hv", "color": BLUE, "width": 2},
        fill="tozeroy",
        fillcolor="rgba(47, 143, 203, 0.25)",
        hovertemplate="from %{x}: %{y:,}<extra></extra>",
    )
    drawn.update_xaxes(type="date" if isinstance(edges[0], str) else "linear")
    drawn.update_yaxes(rangemode="tozero")
    return drawn
