"""Asynchronous successive halving."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from ..entries import PruningRule
from . import Case, Curve


def at_a_rung(case: Case, rivals: Sequence[FrozenTrial], first_rung: int) -> str:
    """Compare with the trials that have reached the same rung, once at each rung."""
    factor = case.config.reduction_factor
    rung = _new_rung(case.curve, first_rung, factor)
    if rung is None:
        return ""
    curves = [case.curve, *(one.intermediate_values for one in rivals if one.state.name in RIVALS)]
    values = [value for curve in curves if (value := _value_at(case, curve, rung)) is not None]
    known = sorted((v for v in values if not math.isnan(v)), reverse=case.maximize)
    bar = known[max(len(known) // factor, 1) - 1] if known else math.nan
    return case.behind(values[0], bar, f"the best 1 of {factor} at epoch {rung}")


RIVALS = ("COMPLETE", "PRUNED", "RUNNING")
"""Lost trials run again and would compete twice."""


def _new_rung(curve: Curve, rung: int, factor: int) -> int | None:
    """Return the rung that the newest epoch has reached and the previous one had not."""
    *_, before, now = 0, 0, *sorted(curve)
    found = None
    while rung <= now:
        found = rung if rung > before else None
        rung *= factor
    return found


def _value_at(case: Case, curve: Curve, rung: int) -> float | None:
    """Return the best up to the first epoch at or after the rung; None if it is not reached."""
    reached = min((epoch for epoch in curve if epoch >= rung), default=None)
    if reached is None:
        return None
    return case.best(value for epoch, value in curve.items() if epoch <= reached)


ENTRY = PruningRule(
    lambda case: at_a_rung(case, case.others, case.pruner.warmup + 1),
    "it is not in the best 1 of `reduction_factor` at a rung; rungs are ever further apart",
)
