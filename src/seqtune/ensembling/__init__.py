"""Weights of ensemble members, found on held-out rows and chosen by cross-validation.

The entry point is `weigh`. It receives a `Pool` (from a task, which defines the score), settings
and a seed.
"""

from __future__ import annotations

from .comparison import Comparison
from .methods import METHODS
from .weighing import Weighing, weigh

__all__ = ["METHODS", "Comparison", "Weighing", "weigh"]
