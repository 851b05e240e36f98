"""Statistics of a parameter over trials: interval, counts, mean, nearest legal value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from seqtune.core.trials import Trial, Value, ranked

from ..spaces.space import Parameter

Mode = Literal["max", "min"]
Rounding = Callable[[Decimal], int]

LEGIBLE_DIGITS = 4
"""Significant digits of the ends of a range without steps."""
GRID_TOLERANCE = Decimal("1e-9")


@dataclass(frozen=True)
class Interval:
    """The interval of a parameter's values over some trials."""

    low: float
    mean: float
    """Geometric for a logarithmic parameter."""
    high: float
    values: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "min": self.low,
            "mean": self.mean,
            "max": self.high,
            "num": len(self.values),
            "values": list(self.values),
        }


def finished(trials: Sequence[Trial], key: str | None = None) -> list[Trial]:
    """Return the trained trials; with a key only those that had this parameter."""
    return [t for t in trials if t.is_finished and (key is None or key in t.params)]


def top_trials(
    trials: Sequence[Trial], *, share: float, mode: Mode, key: str | None = None
) -> list[Trial]:
    """Return the best `share` of the finished trials, best first.

    The share is of all tried configurations: pruned trials count, but are never among the best.
    With a key, only trials with this parameter count.
    """
    tried = finished(trials, key)
    return ranked(tried, mode=mode)[: max(1, math.ceil(share * len(tried) - 1e-9))]


def band(trials: Sequence[Trial], parameter: Parameter) -> Interval | None:
    """Return the interval of a numeric parameter over these trials; None if no trial has it."""
    values = tuple(
        float(value)
        for trial in trials
        if isinstance(value := trial.params.get(parameter.key), int | float)
    )
    if not values:
        return None
    mean = math.fsum(to_scale(value, parameter) for value in values) / len(values)
    return Interval(min(values), from_scale(mean, parameter), max(values), values)


def counts(trials: Sequence[Trial], parameter: Parameter) -> dict[Value, int]:
    """Count how often each choice was used, in the order of the choices."""
    found = Counter(t.params[parameter.key] for t in trials if parameter.key in t.params)
    return {choice: found[choice] for choice in parameter.choices}


def bounds(parameter: Parameter) -> tuple[float, float]:
    """Return low and high of a numeric parameter; the floor raises the low end."""
    floor = parameter.low if parameter.floor is None else parameter.floor
    return max(parameter.low, floor), parameter.high


def to_scale(value: float, parameter: Parameter) -> float:
    """Return the logarithm for a logarithmic parameter, else the value."""
    return math.log(value) if parameter.log else value


def from_scale(value: float, parameter: Parameter) -> float:
    return math.exp(value) if parameter.log else value


def round_out(low: float, high: float, parameter: Parameter) -> tuple[float, float]:
    """Return the smallest range of legal, rounded values around [low, high]."""
    lowest, highest = _legal_ends(parameter)
    low = _rounded(min(max(low, lowest), highest), parameter, math.floor)
    high = _rounded(min(max(high, lowest), highest), parameter, math.ceil)
    return max(low, lowest), min(high, highest)


def nearest(value: float, parameter: Parameter) -> float | int:
    """Return the nearest legal value."""
    lowest, highest = _legal_ends(parameter)
    legal = min(max(value, lowest), highest)
    if _step(parameter) is not None:
        legal = min(max(_on_grid(legal, parameter, round), lowest), highest)
    return int(legal) if parameter.kind == "int" else legal


def _legal_ends(parameter: Parameter) -> tuple[float, float]:
    """Return the lowest and the highest value on the steps, not below the floor."""
    low, high = bounds(parameter)
    if _step(parameter) is None:
        return low, high
    return _on_grid(low, parameter, math.ceil), _on_grid(high, parameter, math.floor)


def _rounded(value: float, parameter: Parameter, rounding: Rounding) -> float:
    if _step(parameter) is not None:
        return _on_grid(value, parameter, rounding)
    if value == 0.0:
        return value
    digits = Decimal(10) ** (math.floor(math.log10(abs(value))) + 1 - LEGIBLE_DIGITS)
    exact = Decimal(f"{value:.12g}")  # 0.2 x 1.1 is 0.22000000000000003
    return float(rounding(exact / digits) * digits)


def _on_grid(value: float, parameter: Parameter, rounding: Rounding) -> float:
    """Move a value onto the steps of the parameter, which start at its low end."""
    origin, width = Decimal(str(parameter.low)), Decimal(str(_step(parameter)))
    position = (Decimal(str(value)) - origin) / width
    near = round(position)
    if abs(position - near) > GRID_TOLERANCE:  # 0.1 + 0.2 lies on a grid of 0.1
        near = rounding(position)
    return float(origin + near * width)


def _step(parameter: Parameter) -> float | int | None:
    return parameter.step or (1 if parameter.kind == "int" else None)
