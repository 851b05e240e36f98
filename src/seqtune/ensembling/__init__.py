"""How much each member of an ensemble counts: found on held-out rows, chosen by cross-validation.

`weigh` is all there is to call. What it is given: a `Pool` (a task's own: it knows what a score
is), settings and a seed. This room knows weights alone: arrays in, arrays out.
"""

from __future__ import annotations

from .methods import METHODS
from .weighing import Comparison, Weighing, weigh

__all__ = ["METHODS", "Comparison", "Weighing", "weigh"]
