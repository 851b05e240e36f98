"""Members' scores on the valid part, small and still exact: see `Pool` in core.ensemble.

Only the items that members disagree about are kept (`contested_items.py`), with the scores of every
member on every scale; items that rank before the target in all members are counted. Of the disputed
items, those among some member's best `candidates` unseen items are kept. The others are counted:
a user without any has an exact rank under all weights.

Shapes: M members, U users, E disputed items (of all users).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtune.core.config import EnsembleConfig
from seqtune.core.ensemble import require_weights
from seqtune.core.format import MIB
from seqtune.inference import require_pool, require_weighable, sample_rows

from .batches import evaluation
from .contested_items import ContestedItems, ContestSettings, Floats, find_contested_items
from .data import Int64, SplitData
from .ensemble import open_members
from .metrics import monitored_metric, rank_gains
from .score_normalization import GRID, RANKS, SCALES

Bools = npt.NDArray[np.bool_]
REMEMBERED = 256
"""Size of the cache of ranks by weights, which folds request again."""


@dataclass(frozen=True)
class RecommendPool:
    """Ranks of held-out items under any weights of members."""

    metric: str
    sure: Int64
    """Items before the target in every member [U], at most the depth of the metric."""
    users: Int64
    """The user of each disputed item [E], from 0."""
    disputed: Mapping[str, Floats]
    """Scores of the disputed items [M, E] by scale."""
    targets: Mapping[str, Floats]
    """Scores of the targets [M, U] by scale."""
    left_out: Int64
    """Number of disputed items without kept scores [U]."""
    bounds: Mapping[str, Floats]
    """Upper bounds of the scores that are not kept [M, U] by scale."""
    gains: Floats
    """What each rank contributes to the metric; the last is 0 and covers all further ranks."""
    made_of: Mapping[str, Any]
    _ranks: dict[tuple[str, bytes], Int64] = field(default_factory=dict, repr=False)

    @property
    def num_members(self) -> int:
        return len(self.targets[SCALES[0]])

    @property
    def num_rows(self) -> int:
        return len(self.sure)

    @property
    def scales(self) -> tuple[str, ...]:
        return SCALES

    def score(
        self,
        weights: Floats,
        *,
        scale: str,
        rows: Int64 | None = None,
        decided_on: Int64 | None = None,  # noqa: ARG002 - a ranking has no decision
    ) -> float:
        """Return the metric under these weights over some users, or all."""
        ranks = self._cached_ranks(np.asarray(weights, np.float64), scale)
        counts = np.bincount(ranks if rows is None else ranks[rows], minlength=len(self.gains))
        return float(counts @ self.gains) / int(counts.sum())

    def decision(self, weights: Floats, *, scale: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: a ranking needs no decision."""
        return {}

    def facts(self) -> Mapping[str, Any]:
        """Return the pool's content, memory and exactness: the share of users whose contribution
        to the metric no left-out item can change."""
        arrays = (self.sure, self.users, *self.disputed.values(), *self.targets.values())
        uniform = np.full(self.num_members, 1.0 / self.num_members)
        return {
            **self.made_of,
            "in_dispute": len(self.users),
            "left_out": int(self.left_out.sum()),
            "exact_for_any_weights": float((self.left_out == 0).mean()),
            "exact_at_uniform_weights": {
                scale: float(self.is_exact(uniform, scale).mean()) for scale in SCALES
            },
            "memory_mib": round(sum(array.nbytes for array in arrays) / MIB, 3),
        }

    def is_exact(self, weights: Floats, scale: str) -> Bools:
        """Mark the users [U] whose rank is exact, or certainly too low to count."""
        targets = self._combined(self.targets, weights, scale)
        above = targets > self._combined(self.bounds, weights, scale)
        settled = self.ranks(weights, scale) == len(self.gains) - 1
        return np.asarray((self.left_out == 0) | above | settled)

    def ranks(self, weights: Floats, scale: str) -> Int64:
        """Return the rank of each target [U], at most the first that contributes nothing."""
        total = self._combined(self.disputed, weights, scale)
        before = total >= self._combined(self.targets, weights, scale)[self.users]
        ranks = self.sure + np.bincount(self.users[before], minlength=self.num_rows)
        return np.asarray(np.minimum(ranks, len(self.gains) - 1))

    def _combined(self, scores: Mapping[str, Floats], weights: Floats, scale: str) -> Floats:
        """Return the weighted sum of members' scores [M, ...], bit for bit as an ensemble does."""
        require_weights(weights, self.num_members)
        total = np.zeros(scores[scale].shape[1:])
        for share, own in zip(weights, scores[scale], strict=True):
            if share > 0:
                total += share * own
        return np.rint(total * GRID) / GRID if scale == RANKS else total

    def _cached_ranks(self, weights: Floats, scale: str) -> Int64:
        key = (scale, weights.tobytes())
        found = self._ranks.pop(key, None)
        self._ranks[key] = self.ranks(weights, scale) if found is None else found  # newest last
        if len(self._ranks) > REMEMBERED:
            del self._ranks[next(iter(self._ranks))]
        return self._ranks[key]


def open_pool(
    members: Mapping[str, Path], data: SplitData, settings: EnsembleConfig, *, seed: int
) -> RecommendPool:
    """Score the valid part, or a sample of `max_rows` of its users, with these checkpoints."""
    require_pool(members, data, task="recommend")
    opened = open_members(members)
    for name, model in opened.items():
        model.require_assets(data.assets_hash, what=str(data.path))
        require_weighable(name, model, data.content_hash)
    models = list(opened.values())
    config = models[0].config
    metric = monitored_metric(config)
    gains = rank_gains(metric)
    valid = evaluation(data, "valid", max_len=max(model.max_len for model in models))
    rows = sample_rows(len(valid.histories), settings.max_rows, seed=seed)
    contest = ContestSettings(
        settings.candidates, config.evaluation.exclude_seen, depth=len(gains) - 1
    )
    made_of = {
        "users": len(rows),
        "users_of_valid": len(valid.histories),
        "candidates": settings.candidates,
    }
    pieces = list(find_contested_items(models, valid, rows, contest))
    return _joined(pieces, gains, metric=f"valid {metric}", made_of=made_of)


def _joined(
    pieces: Sequence[ContestedItems], gains: Floats, *, metric: str, made_of: Mapping[str, Any]
) -> RecommendPool:
    """Concatenate the batches, with users in the order of the pool."""
    order = np.argsort(np.concatenate([piece.rows for piece in pieces]))

    def by_scale(name: str) -> dict[str, Floats]:
        return {
            scale: np.concatenate([getattr(piece, name)[scale] for piece in pieces], axis=1)
            for scale in SCALES
        }

    return RecommendPool(
        metric=metric,
        sure=np.concatenate([piece.sure for piece in pieces])[order],
        users=np.concatenate([piece.users for piece in pieces]),
        disputed=by_scale("disputed"),
        targets={scale: values[:, order] for scale, values in by_scale("targets").items()},
        left_out=np.concatenate([piece.left_out for piece in pieces])[order],
        bounds={scale: values[:, order] for scale, values in by_scale("bounds").items()},
        gains=gains,
        made_of=made_of,
    )
