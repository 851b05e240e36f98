"""One metric of every user with a held-out item, by system.

Shapes: U users with a held-out item, in the order of the split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from seqtune.core.row_metrics import RowMetrics

from .batches import Part
from .data import Int64, SplitData
from .metrics import rank_gains
from .segments import segments_of


class HeldOutItems(NamedTuple):
    """The held-out items of a part."""

    users: Int64  # [U], rising
    lengths: Int64  # [U], items before the target
    targets: Int64  # [U]

    @classmethod
    def of(cls, data: SplitData, part: Part) -> Self:
        at = np.asarray(data.valid_at if part == "valid" else data.test_at)
        users = np.flatnonzero(at >= 0)
        lengths = at[users].astype(np.int64)
        targets = np.asarray(data.items[data.offsets[users] + lengths], np.int64)
        return cls(users, lengths, targets)


def user_metrics(
    data: SplitData, part: Part, ranks: Mapping[str, Int64], *, metric: str
) -> RowMetrics:
    """Return a metric from the ranks [U] of the held-out items, by system."""
    held_out, gains = HeldOutItems.of(data, part), rank_gains(metric)
    counts = np.asarray(data.train_counts[held_out.targets], np.int64)
    return RowMetrics(
        part=part,
        metric=metric,
        unit="users",
        values={name: gains[np.minimum(own, len(gains) - 1)] for name, own in ranks.items()},
        segments=segments_of(held_out.lengths, counts),
    )
