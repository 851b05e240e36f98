"""Accumulate ranks and counts of recommended items over all users, for one scorer.

Only integers are summed, so that the order of users and batches changes no result.

Shapes: B batch (users), U all users, V items, K length of a list.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .data import Int64
from .metrics import mean_metrics, measured_metrics, rank_counts
from .params import RecommendConfig

FULL = "full"
LIST_LENGTH = 10

COVERAGE = f"coverage@{LIST_LENGTH}"
POPULARITY = f"popularity@{LIST_LENGTH}"
BIAS = f"popularity_bias@{LIST_LENGTH}"
DEFINITIONS = {
    COVERAGE: f"share of all items that appear in at least one user's top {LIST_LENGTH}",
    POPULARITY: (
        "mean popularity percentile of the items in the lists: 0 for the least frequent item of "
        "the training part, 1 for the most frequent, the middle for ties"
    ),
    BIAS: (
        f"{POPULARITY} minus the mean percentile of the held-out items: above 0, the lists are "
        "more popular than what people choose"
    ),
}


class MetricAccumulator:
    """Accumulates one scorer's results over the batches of a part."""

    def __init__(
        self, config: RecommendConfig, percentiles: Tensor, *, device: torch.device
    ) -> None:
        self._ks = config.evaluation.ks
        self._names = measured_metrics(config.training.monitor)
        self._percentiles = percentiles  # fp64 [V]
        self._ranks: dict[str, Tensor] = {}  # int64 [max K + 1] by label
        self._by_user: list[Tensor] = []  # int64 [B] of each batch
        self._listed = torch.zeros(len(percentiles) + 1, dtype=torch.int64, device=device)
        self._chosen = torch.zeros_like(self._listed)

    @property
    def num_users(self) -> int:
        return int(self._ranks[FULL].sum())

    def add_ranks(self, label: str, ranks: Tensor) -> None:
        counts = rank_counts(ranks, self._ks)
        self._ranks[label] = self._ranks.get(label, torch.zeros_like(counts)) + counts

    def add_user_ranks(self, ranks: Tensor) -> None:
        """Add ranks of the full ranking, and keep those of each user."""
        self.add_ranks(FULL, ranks)
        self._by_user.append(ranks.cpu())

    @property
    def user_ranks(self) -> Int64:
        """The ranks of all users [U], in the order in which they were added."""
        return np.asarray(torch.cat(self._by_user))

    def add_lists(self, items: Tensor) -> None:  # [B, K], 0 where a list is shorter
        self._listed += torch.bincount(items.flatten(), minlength=len(self._listed))

    def add_targets(self, targets: Tensor) -> None:  # [B]
        self._chosen += torch.bincount(targets, minlength=len(self._chosen))

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return metrics of the full ranking, the sampled rankings and the lists."""
        sampled = {
            f"{label}/{name}": value  # not to be mistaken for the full ranking
            for label, counts in self._ranks.items()
            if label != FULL
            for name, value in self._means(counts).items()
        }
        return {
            "full": self._means(self._ranks[FULL]),
            "sampled": sampled,
            "lists": self._lists(),
        }

    def _means(self, counts: Tensor) -> dict[str, float]:
        return mean_metrics(counts, self._ks, names=self._names)

    def _lists(self) -> dict[str, float]:
        listed, chosen = self._listed[1:].cpu(), self._chosen[1:].cpu()
        popularity = self._mean_percentile(listed)
        return {
            COVERAGE: float((listed > 0).double().mean()),
            POPULARITY: popularity,
            BIAS: popularity - self._mean_percentile(chosen),
        }

    def _mean_percentile(self, counts: Tensor) -> float:
        return float((counts * self._percentiles).sum() / counts.sum())


def popularity_percentiles(train_counts: Int64) -> Tensor:  # fp64 [V]
    """Return the percentile of each item by its count [V + 1]: 0 least, 1 most frequent."""
    counts = train_counts[1:]
    ordered = np.sort(counts)
    below = np.searchsorted(ordered, counts, side="left")
    not_above = np.searchsorted(ordered, counts, side="right")
    return torch.from_numpy((below + not_above - 1) / 2 / max(len(counts) - 1, 1))
