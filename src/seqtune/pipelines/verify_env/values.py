"""The resolved configurations of tuning and training, compared value by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqtune.core.differences import Table, differences, explain, shown
from seqtune.core.resolve import DEFAULT, Resolved
from seqtune.core.task import TrainingData
from seqtune.core.verification import Check

from .._best_config import BestConfig, changes_since

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "seed": ("seed",),
    "loss and metric": ("training.monitor", "training.monitor_mode"),
    "early stopping": ("training.early_stopping.patience", "training.early_stopping.min_delta"),
    "optimiser": ("training.optimizer", "training.gradient_clip_val"),
    "scheduler": ("training.scheduler", "training.warmup_ratio"),
    "precision": ("training.precision",),
    "split": ("split.",),
}
"""Checks by name: keys, or groups of keys with a dot at the end. The rest is one more check."""
EVERYTHING_ELSE = "every other value"
BEST_CONFIG = "best config"
NEXT_STEP = "set it back, tune again, or train with --params verify_env.on_mismatch=warn"


def compare_values(tuning: Table, training: Table, *, task: str) -> list[Check]:
    """Make one check per subject, and one for all other keys, so that every key is compared."""
    keys = sorted({*tuning, *training})
    groups = {
        subject: [key for pattern in patterns for key in keys if _matches(key, pattern)]
        for subject, patterns in SUBJECTS.items()
    }
    named = {key for group in groups.values() for key in group}
    groups[EVERYTHING_ELSE] = [key for key in keys if key not in named]
    found = differences(tuning, training)
    checks = []
    for subject, group in groups.items():
        faults = [explain(difference, task) for difference in found if difference.key in group]
        if faults:
            checks.append(Check(subject, "fail", "\n".join(faults)))
        elif subject == EVERYTHING_ELSE:
            unset = sum(
                tuning[key]["origin"] == training[key]["origin"] == DEFAULT for key in group
            )
            checks.append(Check(subject, "ok", f"{len(group)} equal, {unset} of them defaults"))
        elif group:
            values = (f"{key.rpartition('.')[2]} {shown(tuning[key]['value'])}" for key in group)
            checks.append(Check(subject, "ok", f"{', '.join(values)} on both sides"))
    return checks


def check_best(best: BestConfig, now: Resolved[Any], data: TrainingData) -> list[Check]:
    """Check what changed since tuning; only warn, because it concerns only `train`."""
    changes = changes_since(best, now, data)
    if changes:
        return [Check(BEST_CONFIG, "warn", change, NEXT_STEP) for change in changes]
    message = f"trial {best.trial} of {best.study} was tuned with these values, data and versions"
    return [Check(BEST_CONFIG, "ok", message)]


def table_of_both(tuning: Table, training: Table) -> list[dict[str, Any]]:
    """List every key with the value and origin on both sides, for the report."""
    unequal = {difference.key for difference in differences(tuning, training)}
    return [
        {
            "key": key,
            "tuning": dict(tuning.get(key, {})),
            "training": dict(training.get(key, {})),
            "equal": key not in unequal,
        }
        for key in sorted({*tuning, *training})
    ]


def _matches(key: str, pattern: str) -> bool:
    return key.startswith(pattern) if pattern.endswith(".") else key == pattern
