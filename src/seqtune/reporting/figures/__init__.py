"""Figures of a search: lists of trials and plain values in, Plotly figures out.

The only room that imports Plotly. Every figure takes the empty case: it then says what is missing.
"""

from plotly.graph_objects import Figure

from ._decisions import narrowing, rerank
from ._goals import pareto_front
from ._parameters import importances, parallel_coordinates, slices
from ._search import history, intermediate_values, timeline

__all__ = [
    "Figure",
    "history",
    "importances",
    "intermediate_values",
    "narrowing",
    "parallel_coordinates",
    "pareto_front",
    "rerank",
    "slices",
    "timeline",
]
