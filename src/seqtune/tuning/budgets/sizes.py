"""Named budgets: trials and epochs of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..config import RerankConfig


class Size(NamedTuple):
    trials: int
    epochs: int

    def __str__(self) -> str:
        return f"{self.trials} trials x {self.epochs} epochs"


class SizedStage(NamedTuple):
    """The size of a stage, its wall clock, and the reason for both."""

    size: Size
    timeout_seconds: float | None
    reason: str
    rerank: RerankConfig | None = None
    """None: as written."""


def of_total(num_trials: int) -> dict[str, Size]:
    """Divide the trials over both searching stages, a quarter of them to quick."""
    quick = -(-num_trials // 4)
    return {"test": TEST, "quick": Size(quick, 20), "medium": Size(num_trials - quick, 50)}


TEST = Size(2, 2)
SEED = Size(15, 60)
BUDGETS: Mapping[str, Mapping[str, Size]] = {
    "standard": {"test": TEST, "quick": Size(100, 20), "medium": Size(50, 50)},
    "one_day": {"test": TEST, "quick": Size(15, 30), "medium": Size(30, 50)},
    "three_days": {"test": TEST, "quick": Size(20, 30), "medium": Size(50, 50), "seed": SEED},
    "one_week": {"test": TEST, "quick": Size(30, 30), "medium": Size(100, 50), "seed": SEED},
    "quick": of_total(10),
    "thorough": of_total(300),
    "extensive": of_total(500),
}
"""A stage that a budget does not name is off, unless `tuning.stages` enables it. The seed stages
serve ensembles."""
DEFAULT_SIZES: Mapping[str, Size] = {**BUDGETS["standard"], "seed": SEED}
"""For durations, and for enabled stages that the budget does not name."""
