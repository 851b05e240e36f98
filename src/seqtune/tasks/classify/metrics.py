"""Multi-label metrics.

F1, precision and recall are 0 where they are 0 / 0, also in macro means. LRAP ranks the labels of
a text by probability; ties count against the model, and a text without labels counts as 1.
Shapes: N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .score_normalization import probabilities_of
from .thresholds import HALF, AnyArray, Bools, Floats, best_thresholds

Counts = npt.NDArray[np.int64] | Floats
MACRO_F1 = "macro_f1"


class ByLabel(NamedTuple):
    """Counts of each label [..., L]."""

    positives: Counts
    given: Counts  # texts that were given the label
    hits: Counts

    @property
    def precision(self) -> Floats:
        return _share(self.hits, self.given)

    @property
    def recall(self) -> Floats:
        return _share(self.hits, self.positives)

    @property
    def f1(self) -> Floats:
        return _share(2 * self.hits, self.given + self.positives)

    @property
    def micro_f1(self) -> Floats:  # [...]
        """F1 over all decisions of all labels together."""
        whole = self.given.sum(axis=-1) + self.positives.sum(axis=-1)
        return _share(2 * self.hits.sum(axis=-1), whole)


BY_LABEL: Mapping[str, Callable[[ByLabel], Floats]] = {
    MACRO_F1: lambda labels: labels.f1.mean(axis=-1),
    "micro_f1": lambda labels: labels.micro_f1,
    "macro_precision": lambda labels: labels.precision.mean(axis=-1),
    "macro_recall": lambda labels: labels.recall.mean(axis=-1),
}
"""Metrics of the counts of labels [...]."""


def by_label(decided: Bools, targets: AnyArray) -> ByLabel:
    """Count decisions [N, L] against targets [N, L], label by label."""
    true = targets.astype(bool)
    return ByLabel(true.sum(axis=0), decided.sum(axis=0), (decided & true).sum(axis=0))


def decided_metrics(
    probabilities: Floats, targets: AnyArray, thresholds: Floats | float
) -> dict[str, float]:
    """Return the metrics under thresholds: one for all, by label [L], or by row [N, L]."""
    decided = probabilities >= thresholds
    labels = by_label(decided, targets)
    return {
        **{name: float(measure(labels)) for name, measure in BY_LABEL.items()},
        "exact_match": _mean((decided == targets.astype(bool)).all(axis=1)),
    }


def validation_metrics(logits: Floats, targets: AnyArray) -> dict[str, float]:
    """Return what training logs: metrics at 0.5, and at the best thresholds on the same rows."""
    probabilities = probabilities_of(np.asarray(logits, np.float64))
    at_half = decided_metrics(probabilities, targets, HALF)
    return {
        MACRO_F1: at_half[MACRO_F1],
        "micro_f1": at_half["micro_f1"],
        "macro_f1_tuned": float(best_thresholds(probabilities, targets).f1.mean()),
        "lrap": lrap(probabilities, targets),
        "exact_match": at_half["exact_match"],
    }


def tuned_thresholds(logits: Floats, targets: AnyArray) -> Floats:
    """Return the threshold of each label [L] that is best on these rows."""
    return best_thresholds(probabilities_of(np.asarray(logits, np.float64)), targets).thresholds


def logged_metrics(config: Any) -> dict[str, Literal["max", "min"]]:
    """Return what training logs, and whether higher or lower is better."""
    parts = ("val", "train") if config.evaluation.train_metric_rows else ("val",)
    names = validation_metrics(np.zeros((1, 1)), np.zeros((1, 1)))
    return {
        "train_loss": "min",
        "val_loss": "min",
        **{f"{part}_{name}": "max" for part in parts for name in names},
    }


def lrap(probabilities: Floats, targets: AnyArray) -> float:
    """Return the label ranking average precision: for each true label, the share of true ones among
    those ranked at least as high; mean over the true labels of a text, then over texts."""
    true = targets.astype(bool)
    order = np.lexsort((true, -probabilities), axis=1)  # among ties the true ones come last
    ranked = np.take_along_axis(true, order, axis=1)
    precision = np.cumsum(ranked, axis=1) / np.arange(1, true.shape[1] + 1)
    of_rows = np.where(ranked, precision, 0.0).sum(axis=1) / np.maximum(true.sum(axis=1), 1)
    return _mean(np.where(true.any(axis=1), of_rows, 1.0))


def _share(part: Counts, whole: Counts) -> Floats:
    return np.asarray(part / np.maximum(whole, 1))


def _mean(values: AnyArray) -> float:
    return float(values.mean()) if len(values) else 0.0
