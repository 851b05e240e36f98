"""The metrics of an ensemble, beside the single checkpoint, and the uses of test."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.ensemble import Ensemble
from seqtune.core.metrics import values_of
from seqtune.core.task import OURS, Report

from .._test_ledger import ScoredEnsemble, describe_openings

logger = logging.getLogger(__name__)

VALIDATION = "val_"


def describe(scored: ScoredEnsemble, ensemble: Ensemble, single: Report | None) -> Report:
    """Report the metrics of an ensemble beside `single`, the metrics of the checkpoint."""
    first = next(iter(ensemble.member_paths().values()))
    metric = open_checkpoint(first).manifest.monitor.removeprefix(VALIDATION)
    compared = compare(scored.report, single, reference=ensemble.manifest.reference, metric=metric)
    lines = [*_describe_comparison(compared, metric), *describe_openings(scored)]
    for line in lines:
        logger.info("%s", line)
    return {
        **scored.report,
        "headline": [*lines, *scored.report.get("headline", ())],
        "beside_single": compared,
        "test_read_from_store": scored.from_store,
        "test_openings": scored.openings,
        "test_closed_by": scored.refused and asdict(scored.refused),
    }


def compare(
    ensemble: Report, single: Report | None, *, reference: str, metric: str
) -> dict[str, Any]:
    """Return the metric of both, by part; `why_not` says why they cannot be compared."""
    why_not, parts = _reason_against(ensemble, single, reference=reference), {}
    if not why_not and single is not None:
        for name in ensemble["parts"]:
            one, other = (
                values_of(report, name, metric).get(OURS) for report in (ensemble, single)
            )
            if one is not None and other is not None:
                parts[name] = {"ensemble": one, "single": other, "gain": one - other}
        why_not = "" if parts else f"{metric} is not among the metrics of both"
    return {"metric": metric, "parts": parts, "why_not": why_not}


def _reason_against(ensemble: Report, single: Report | None, *, reference: str) -> str:
    if not ensemble.get("parts"):
        return "nothing is held out"
    if single is None:
        return "there are no metrics of the single checkpoint"
    if single.get("fingerprint") != reference:
        return "the newest metrics are those of another checkpoint"
    if single.get("data_hash") != ensemble.get("data_hash"):
        return "the metrics of the single checkpoint are of other data"
    return ""


def _describe_comparison(compared: Mapping[str, Any], metric: str) -> list[str]:
    if compared["why_not"]:
        return [f"not set beside the single checkpoint: {compared['why_not']}"]
    return [
        f"{part} {metric}: ensemble {row['ensemble']:.4f}, single checkpoint "
        f"{row['single']:.4f} ({row['gain']:+.4f})"
        for part, row in compared["parts"].items()
    ]
