"""Compare with the best trial by a signed-rank test over epochs."""

from __future__ import annotations

import math

from ..entries import PruningRule
from . import Case

MIN_PAIRS = 2


def reason(case: Case) -> str:
    """Test whether the curve lies below that of the best trial, epoch by epoch.

    Epochs of one training are not independent samples, so `p_threshold` is a setting and not an
    error rate. For trials whose steps are folds or seeds it is exact.
    """
    from scipy.stats import wilcoxon

    measured = [one for one in case.complete if one.intermediate_values and one.values]
    if not measured or not case.is_check:
        return ""
    sign = -1.0 if case.maximize else 1.0
    best = min(measured, key=lambda one: sign * one.values[0])
    differences = [
        value - best.intermediate_values[epoch]
        for epoch, value in sorted(case.curve.items())
        if epoch in best.intermediate_values
    ]
    differences = [value for value in differences if math.isfinite(value)]
    if len(differences) < MIN_PAIRS:
        return ""
    side = "less" if case.maximize else "greater"
    p = float(wilcoxon(differences, alternative=side, zero_method="zsplit").pvalue)
    if not p < case.config.p_threshold:
        return ""
    return f"worse than the best trial ({best.number}) in {len(differences)} epochs (p={p:.3g})"


ENTRY = PruningRule(reason, "its curve lies below that of the best trial, by a signed-rank test")
