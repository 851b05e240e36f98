"""Compare with the best epoch of the trial itself."""

from __future__ import annotations

import math

from ..entries import PruningRule
from . import Case


def reason(case: Case) -> str:
    """Count the epochs since the best one."""
    best = case.best(case.curve.values())
    if math.isnan(best):
        return "no epoch gave a number"
    since = min(epoch for epoch, value in case.curve.items() if value == best)
    waited = max(case.curve) - since
    if waited < case.config.patience:
        return ""
    return f"no improvement for {waited} epochs (best {best:.6g} at epoch {since})"


ENTRY = PruningRule(reason, "it has not improved for `patience` epochs")
