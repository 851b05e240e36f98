"""The best configuration on the disk against what training it now would be."""

from __future__ import annotations

from typing import Any

from seqtune.core.resolve import Resolved
from seqtune.core.task import TrainingData
from seqtune.core.verification import Check

from .._best_config import BestConfig, changes_since

NAME = "best config"
NEXT_STEP = "set it back, tune again, or train with --params verify_env.on_mismatch=warn"


def check_best(best: BestConfig, now: Resolved[Any], data: TrainingData) -> list[Check]:
    """What has changed since it was tuned: warnings, because only `train` is concerned."""
    changes = changes_since(best, now, data)
    if changes:
        return [Check(NAME, "warn", change, NEXT_STEP) for change in changes]
    told = f"trial {best.trial} of {best.study} was tuned with the values, data and versions of now"
    return [Check(NAME, "ok", told)]
