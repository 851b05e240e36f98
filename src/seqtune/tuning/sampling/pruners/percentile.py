"""Compare with a percentile of the complete trials at the same epoch."""

from __future__ import annotations

import math

import numpy as np

from ..entries import PruningRule
from . import Case


def below(case: Case, share: float, name: str) -> str:
    """Compare the best so far with this percentile of the complete trials at the same epoch."""
    epoch = max(case.curve)
    theirs = [one.intermediate_values.get(epoch, math.nan) for one in case.complete]
    theirs = [value for value in theirs if not math.isnan(value)]
    if not theirs or not case.is_check:
        return ""
    bar = float(np.percentile(theirs, 100 - share if case.maximize else share))
    return case.behind(case.best(case.curve.values()), bar, f"{name} of {len(theirs)} trials")


def reason(case: Case) -> str:
    share = case.config.percentile
    return below(case, share, f"the best {share:g} %")


ENTRY = PruningRule(reason, "it is behind the best `percentile` per cent at the same epoch")
