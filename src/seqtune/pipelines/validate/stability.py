"""The spread between trainings of one configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import mean, stdev
from typing import Any

from seqtune.core.config import ValidateConfig
from seqtune.core.task import Report

from .runs import FinishedRun


def summarise(
    done: Sequence[FinishedRun], settings: ValidateConfig, *, metric: str, task: str
) -> Report:
    """Summarise each kind of seeds, and say whether all are stable."""
    kinds = list(dict.fromkeys(one.run.kind for one in done))
    groups = {kind: spread([one.score for one in done if one.run.kind == kind]) for kind in kinds}
    is_stable = all(group["std"] < settings.max_std for group in groups.values())
    return {
        "headline": [
            f"{task}: {_line(metric, kind, group, max_std=settings.max_std)}"
            for kind, group in groups.items()
        ],
        "metric": metric,
        "max_std": settings.max_std,
        "stable": is_stable,
        "groups": groups,
        "runs": [{**row.pop("run"), **row} for row in map(asdict, done)],
    }


def spread(scores: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation (of a sample, n - 1) and range."""
    return {
        "num_runs": len(scores),
        "mean": mean(scores),
        "std": stdev(scores),
        "min": min(scores),
        "max": max(scores),
    }


def _line(metric: str, kind: str, group: dict[str, Any], *, max_std: float) -> str:
    verdict = "stable" if group["std"] < max_std else "NOT stable"
    seeds = "the same seed" if kind == "same" else "different seeds"
    sign = "<" if group["std"] < max_std else ">="
    return (
        f"{metric} over {group['num_runs']} trainings with {seeds}: {group['mean']:.4f}, standard "
        f"deviation {group['std']:.4f} {sign} {max_std:g}, from {group['min']:.4f} to "
        f"{group['max']:.4f}: {verdict}"
    )
