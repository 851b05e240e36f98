"""Score members' summaries of valid under any weighting: see `Pool` in core.ensemble.

Each member summarises each row once; minimum Bayes risk needs only their agreement with each other
and with the references.
Shapes: R rows, M members.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtune.core.config import EnsembleConfig
from seqtune.core.ensemble import require_weights
from seqtune.inference import CheckpointInfo, require_pool, require_weighable, sample_rows

from .data import SummarizeData
from .ensemble import SCALE, require_compatible
from .loading import load_summarizer
from .mbr import agreement, choose
from .params import SummarizeConfig
from .rouge import ROUGE_SUM, rouge
from .scorer import describe

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SummarizePool:
    """Comparisons of summaries with each other and with the references."""

    agreements: Floats  # [R, M, M]
    scores: Floats
    """ROUGE sum against the references [R, M]."""
    made_of: Mapping[str, Any]
    metric: str = f"valid {ROUGE_SUM}"
    _chosen: dict[bytes, Int64] = field(default_factory=dict, repr=False)

    @property
    def num_members(self) -> int:
        return int(self.scores.shape[1])

    @property
    def num_rows(self) -> int:
        return len(self.scores)

    @property
    def scales(self) -> tuple[str, ...]:
        return (SCALE,)

    def score(
        self,
        weights: Floats,
        *,
        scale: str,
        rows: Int64 | None = None,
        decided_on: Int64 | None = None,
    ) -> float:
        """Return the mean ROUGE sum of the chosen summaries."""
        del decided_on
        members = self._members(np.asarray(weights, np.float64), scale)
        gained = self.scores[np.arange(self.num_rows), members]
        return float((gained if rows is None else gained[rows]).mean())

    def decision(self, weights: Floats, *, scale: str) -> Mapping[str, Any]:
        del weights, scale
        return {}

    def facts(self) -> Mapping[str, Any]:
        """Return the score of each member, of the best possible choice, and the agreement."""
        others = ~np.eye(self.num_members, dtype=bool)
        same = self.agreements[:, others]
        return {
            **self.made_of,
            "rouge_sum_of_each": [float(value) for value in self.scores.mean(axis=0)],
            "rouge_sum_of_the_best_choice": float(self.scores.max(axis=1).mean()),
            "agreement": float(same.mean()) if same.size else None,
        }

    def _members(self, weights: Floats, scale: str) -> Int64:
        require_weights(weights, self.num_members)
        if scale != SCALE:
            raise ValueError(f"scale={scale!r} is none of {self.scales}")
        key = weights.tobytes()
        if key not in self._chosen:
            self._chosen[key] = choose(self.agreements, weights)
        return self._chosen[key]


def open_pool(
    members: Mapping[str, Path], data: SummarizeData, settings: EnsembleConfig, *, seed: int
) -> SummarizePool:
    """Summarise valid, or a sample of `max_rows` of it, with one member in memory at a time."""
    require_pool(members, data, task="summarize")
    rows = sample_rows(data.num_rows("valid"), settings.max_rows, seed=seed)
    own = data.dialogues("valid")
    dialogues = [own[row] for row in rows]
    written = []
    infos: dict[str, CheckpointInfo[SummarizeConfig]] = {}
    for name, path in members.items():
        infos[name] = info = describe(path)
        info.require_assets(data.assets_hash, what=str(data.path))
        require_weighable(name, info, data.content_hash)
        require_compatible(infos)
        member = load_summarizer(path)
        found = member.summarise(dialogues, batch_size=info.config.evaluation.batch_size)
        written.append(found.texts)
        del member  # free its memory before the next one is loaded
    scoring, of_valid = next(iter(infos.values())).config.evaluation, data.references("valid")
    references = [of_valid[row] for row in rows]
    scores = [
        rouge(texts, references, tokenizer=scoring.tokenizer, combine=scoring.references)
        for texts in written
    ]  # M times [R, 3]
    return SummarizePool(
        agreement(list(zip(*written, strict=True)), tokenizer=scoring.tokenizer),
        np.stack(scores, axis=1).sum(axis=2),
        {"rows": len(rows), "rows_of_valid": data.num_rows("valid")},
    )
