"""How the logits of several models become one probability.

probabilities    the weighted mean of the models' probabilities
logits           the probability of the weighted mean of their logits

Shapes: M members, N rows, L labels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from seqtune.core.errors import TrainingError

from .thresholds import Floats

PROBABILITIES, LOGITS = SCALES = ("probabilities", "logits")
"""The default first."""


def probabilities_of(logits: Floats) -> Floats:
    """Apply the logistic function; refuse NaN."""
    if np.isnan(logits).any():
        raise TrainingError(
            "the model returned scores that are not a number, so no label can be decided; lower "
            "training.lr or use training.precision=fp32 and train again"
        )
    decay = np.exp(-np.abs(logits))  # never above 1, however large a logit
    found: Floats = np.where(logits >= 0, 1.0, decay) / (1.0 + decay)
    return found


def on_scale(logits: Floats, scale: str) -> Floats:
    """Bring the logits of one model to the scale on which they are averaged."""
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; allowed: {', '.join(SCALES)}")
    return probabilities_of(logits) if scale == PROBABILITIES else logits


def combined(scaled: Iterable[tuple[float, Floats]], scale: str) -> Floats:
    """Average scaled scores [N, L] by shares (normalised here) to probabilities [N, L]."""
    counted = [(share, scores) for share, scores in scaled if share > 0]
    whole = sum(share for share, _ in counted)
    total = np.zeros_like(counted[0][1])
    for share, scores in counted:
        total += (share / whole) * scores
    return probabilities_of(total) if scale == LOGITS else np.minimum(total, 1.0)
