"""Members' probabilities of the valid part under any weighting: see `Pool` in core.ensemble.

The score of a weighting is the macro F1 with each label's best threshold for that weighting.
Shapes: M members, N rows, L labels, R some of the rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from seqtune.core.config import EnsembleConfig
from seqtune.core.ensemble import require_weights
from seqtune.core.format import MIB
from seqtune.inference import require_pool, require_weighable, sample_rows

from .data import ClassifyData, Targets
from .ensemble import THRESHOLDS, open_members
from .metrics import by_label
from .score_normalization import SCALES, combined, on_scale
from .scorer import require_labels
from .thresholds import Floats, Ranked, best_of, rank

Rows = npt.NDArray[np.int64]
REMEMBERED = 64
"""Combined and sorted weightings kept in memory, because folds ask for the same ones."""


@dataclass(frozen=True)
class ClassifyPool:
    """Probabilities of the labels of valid under any weighting of members."""

    metric: ClassVar[str] = "valid macro_f1"
    scales: ClassVar[tuple[str, ...]] = SCALES
    labels: tuple[str, ...]
    scores: Mapping[str, Floats]
    """Members' scores [M, N, L] by scale."""
    targets: Targets  # [N, L]
    made_of: Mapping[str, Any]
    _known: OrderedDict[tuple[str, bytes], tuple[Floats, Ranked]] = field(
        default_factory=OrderedDict, repr=False
    )

    @property
    def num_members(self) -> int:
        return len(self.scores[SCALES[0]])

    @property
    def num_rows(self) -> int:
        return len(self.targets)

    def score(
        self,
        weights: Floats,
        *,
        scale: str,
        rows: Rows | None = None,
        decided_on: Rows | None = None,
    ) -> float:
        """Return the macro F1 over `rows` with the thresholds that are best on `decided_on`."""
        probabilities, ranked = self._combine(weights, scale)
        best = best_of(self._select(ranked, rows if decided_on is None else decided_on))
        if decided_on is None:
            return float(best.f1.mean())
        chosen = slice(None) if rows is None else rows
        decided = probabilities[chosen] >= best.thresholds
        return float(by_label(decided, self.targets[chosen]).f1.mean())

    def decision(self, weights: Floats, *, scale: str) -> Mapping[str, Any]:
        """Return the best threshold of each label on all rows."""
        _, ranked = self._combine(weights, scale)
        thresholds = best_of(ranked).thresholds
        return {THRESHOLDS: dict(zip(self.labels, thresholds.tolist(), strict=True))}

    def facts(self) -> Mapping[str, Any]:
        """Describe the pool and its memory use; JSON-ready."""
        return {
            **self.made_of,
            "decided_by": "the threshold of each label with the best F1, found with the shares",
            "memory_mib": round(sum(own.nbytes for own in self.scores.values()) / MIB, 3),
        }

    def _select(self, ranked: Ranked, rows: Rows | None) -> Ranked:
        if rows is None:
            return ranked
        wanted = np.zeros(self.num_rows, bool)
        wanted[rows] = True
        return ranked.only(wanted)

    def _combine(self, weights: Floats, scale: str) -> tuple[Floats, Ranked]:
        weights = np.asarray(weights, np.float64)
        require_weights(weights, self.num_members)
        key = (scale, weights.tobytes())
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        probabilities = combined(zip(weights.tolist(), self.scores[scale], strict=True), scale)
        found = self._known[key] = (probabilities, rank(probabilities, self.targets))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found


def open_pool(
    members: Mapping[str, Path], data: ClassifyData, settings: EnsembleConfig, *, seed: int
) -> ClassifyPool:
    """Score the valid part, or a sample of `max_rows` rows of it, with these checkpoints."""
    require_pool(members, data, task="classify")
    models = open_members(members)
    for name, model in models.items():
        require_labels(model, data, who=f"member {name}")
        require_weighable(name, model, data.content_hash)
    rows = sample_rows(data.num_rows("valid"), settings.max_rows, seed=seed)
    logits = [model.logits_of(data, "valid")[rows] for model in models.values()]
    return ClassifyPool(
        labels=data.labels,
        scores={scale: np.stack([on_scale(own, scale) for own in logits]) for scale in SCALES},
        targets=data.targets("valid")[rows],
        made_of={
            "rows": len(rows),
            "rows_of_valid": data.num_rows("valid"),
            "labels": len(data.labels),
        },
    )
