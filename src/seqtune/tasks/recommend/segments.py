"""Segments of users with a held-out item, by their history and by how known the item is.

Shapes: U users with a held-out item.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqtune.core.bootstrap import Bools
from seqtune.core.row_metrics import Segment

from .data import Int64

SIZES = ("short", "medium", "long")
POPULARITIES = ("rare", "medium", "popular")


def segments_of(lengths: Int64, target_counts: Int64) -> tuple[Segment, ...]:
    """Return thirds by length of the history [U] and by count of the target in training [U], with
    targets that training never saw apart. Empty segments are left out."""
    is_new = target_counts == 0
    found = [
        *_thirds(lengths, np.ones_like(is_new), SIZES, "{} histories", "{} items"),
        *_thirds(target_counts, ~is_new, POPULARITIES, "{} targets", "{} times in training"),
        Segment("new targets", "never in training", is_new),
    ]
    return tuple(segment for segment in found if segment.rows.any())


def _thirds(
    values: Int64, among: Bools, sizes: tuple[str, ...], name: str, bounds: str
) -> Iterator[Segment]:
    """Cut the users `among` which values count into thirds; equal values stay together."""
    if not among.any():
        return
    edges = np.quantile(values[among], [1 / 3, 2 / 3], method="inverted_cdf")
    thirds = np.searchsorted(edges, values, side="left")
    for number, size in enumerate(sizes):
        rows = among & (thirds == number)
        if rows.any():
            least, most = int(values[rows].min()), int(values[rows].max())
            span = f"{least}" if least == most else f"{least} to {most}"
            yield Segment(name.format(size), bounds.format(span), rows)
