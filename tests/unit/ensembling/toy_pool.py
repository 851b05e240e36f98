"""A pool whose score can be worked out by hand: in how many rows the right answer wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class ToyPool:
    """`margins` [M, N] by scale: how far a member puts the right answer of a row above the wrong
    one. A row counts where the weighted sum is above 0."""

    metric = "toy wins"

    def __init__(self, margins: Any, **more_scales: Any) -> None:
        self.margins = {"plain": np.asarray(margins, float)}
        self.margins |= {name: np.asarray(values, float) for name, values in more_scales.items()}

    @property
    def num_members(self) -> int:
        return len(self.margins["plain"])

    @property
    def num_rows(self) -> int:
        return self.margins["plain"].shape[1]

    @property
    def scales(self) -> tuple[str, ...]:
        return tuple(self.margins)

    def score(self, weights: Any, *, scale: str, rows: Any = None, decided_on: Any = None) -> float:
        assert weights.shape == (self.num_members,)
        assert (weights >= 0).all()
        margins = self.margins[scale] if rows is None else self.margins[scale][:, rows]
        # rounded: a sum that is 0 by hand must be 0 whatever the order of its rows
        return float(((weights @ margins).round(9) > 0).mean())

    def decision(self, weights: Any, *, scale: str) -> Mapping[str, Any]:
        return {}

    def facts(self) -> Mapping[str, Any]:
        return {}
