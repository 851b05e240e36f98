"""Segments of users with a held-out item, by their history and by how known the item is.

Shapes: U users with a held-out item.
"""

from __future__ import annotations

from seqtune.core.row_metrics import Segment, thirds

from .data import Int64

LENGTHS = ("short histories", "medium histories", "long histories")
POPULARITIES = ("rare targets", "medium targets", "popular targets")


def segments_of(lengths: Int64, target_counts: Int64) -> tuple[Segment, ...]:
    """Return thirds by length of the history [U] and by count of the target in training [U], and
    the targets that training never saw. Empty segments are left out."""
    is_new = target_counts == 0
    found = [
        *thirds(lengths, LENGTHS, bounds="{} items"),
        *thirds(target_counts, POPULARITIES, bounds="{} times in training", among=~is_new),
    ]
    if is_new.any():
        found.append(Segment("new targets", "never in training", is_new))
    return tuple(found)
