"""Figures of data, searches and explanations: plain values in, Plotly figures out.

Only this package imports Plotly. Every figure handles empty input: it then says what is missing.
"""

from plotly.graph_objects import Figure

from ._data import activity, lengths, popularity
from ._decisions import narrowing, rerank
from ._goals import pareto_front
from ._parameters import importances, parallel_coordinates, slices
from ._reasons import agreement, attention, effects, nearest
from ._report_items import draw_exhibit, exhibit_table
from ._search import history, intermediate_values, timeline

__all__ = [
    "Figure",
    "activity",
    "agreement",
    "attention",
    "draw_exhibit",
    "effects",
    "exhibit_table",
    "history",
    "importances",
    "intermediate_values",
    "lengths",
    "narrowing",
    "nearest",
    "parallel_coordinates",
    "pareto_front",
    "popularity",
    "rerank",
    "slices",
    "timeline",
]
