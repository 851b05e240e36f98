"""Compare with the median of the complete trials at the same epoch."""

from __future__ import annotations

from ..entries import PruningRule
from .percentile import below

ENTRY = PruningRule(
    lambda case: below(case, 50.0, "the median"), "it is behind the median at the same epoch"
)
