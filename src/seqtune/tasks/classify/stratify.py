"""Iterative stratification of multi-label rows (Sechidis, Tsoumakas and Vlahavas, 2011).

Rows of the rarest remaining label are assigned first, each to the part that lacks it most. Unlike
in the paper, the lack is relative to the target, rows with equal labels follow one another (so that
small parts get every combination), and part sizes are exact except with grouped rows.
Shapes: N rows, L labels, P parts, G groups of rows that stay together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .data import Targets

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
_TINY = 1e-9


def stratify(
    targets: Targets,
    sizes: Sequence[int],
    *,
    groups: Int64 | None = None,
    at_least: int = 0,
    seed: int,
) -> Int64:
    """Return the part of each row [N], for parts of `sizes` [P]; held-out parts get `at_least` rows
    of each label where there are enough."""
    groups = np.arange(len(targets)) if groups is None else groups
    order = np.random.default_rng(seed).permutation(int(groups.max(initial=-1)) + 1)
    weights = np.bincount(groups, minlength=len(order))  # [G]
    counts = np.zeros((len(order), targets.shape[1]), np.int64)  # [G, L]
    np.add.at(counts, groups, targets)
    order = order[np.argsort(_combinations(counts)[order], kind="stable")]
    wanted = wanted_positives(targets.sum(axis=0, dtype=np.int64), sizes, at_least=at_least)
    assigner = _FoldAssigner(counts[order], weights[order], wanted, sizes)
    assigner.assign(weights[order] > 1)  # single rows then fill the parts exactly
    assigner.assign(weights[order] == 1)
    parts = np.empty_like(assigner.parts)
    parts[order] = assigner.parts
    return parts[groups]


def wanted_positives(positives: Int64, sizes: Sequence[int], *, at_least: int) -> Float64:
    """Return how many positives of each label each part should get [L, P]."""
    wanted = positives[:, None] * (np.asarray(sizes, float) / max(1, sum(sizes)))
    held_out = [part for part, size in enumerate(sizes) if part and size]
    enough = positives >= at_least * (len(held_out) + 1)
    floors = np.where(enough, at_least, 0)[:, None]
    wanted[:, held_out] = np.maximum(wanted[:, held_out], floors)
    wanted[:, 0] = positives - wanted[:, 1:].sum(axis=1)
    return wanted


def _combinations(counts: Int64) -> Int64:
    """Number each group's combination of labels [G]."""
    numbers: dict[bytes, int] = {}
    packed = np.packbits(counts > 0, axis=1)
    return np.asarray([numbers.setdefault(row.tobytes(), len(numbers)) for row in packed], np.int64)


class _FoldAssigner:
    """Assigns groups to parts, tracking what each part still lacks."""

    def __init__(
        self, counts: Int64, weights: Int64, wanted: Float64, sizes: Sequence[int]
    ) -> None:
        self.counts, self.weights = counts, weights
        self.sizes = [float(size) for size in sizes]  # [P]
        self.free = list(self.sizes)
        self.wanted: list[list[float]] = wanted.tolist()  # [L][P]
        self.lack = [list(row) for row in self.wanted]
        self.parts = np.full(len(counts), -1, np.int64)  # [G]

    def assign(self, which: npt.NDArray[np.bool_]) -> None:
        """Assign some of the groups, in their order within each label."""
        is_open = which.copy()
        while (label := self._rarest_label(is_open)) is not None:
            rows = np.flatnonzero(is_open & (self.counts[:, label] > 0))
            for row in rows.tolist():
                self._assign_group(row, self.lack[label], self.wanted[label])
            is_open[rows] = False
        for row in np.flatnonzero(is_open).tolist():
            self._assign_group(row, self.free, self.sizes)

    def _rarest_label(self, is_open: npt.NDArray[np.bool_]) -> int | None:
        """Return the label that the fewest open groups have; None where they have none."""
        left = (self.counts[is_open] > 0).sum(axis=0)
        return int(np.where(left, left, left.max() + 1).argmin()) if left.any() else None

    def _assign_group(self, row: int, lack: Sequence[float], wanted: Sequence[float]) -> None:
        """Assign a group to the part with the largest relative lack and enough free places."""
        weight = int(self.weights[row])
        used = [part for part, size in enumerate(self.sizes) if size]
        fits = [part for part in used if self.free[part] >= weight]
        part = max(
            fits or used,
            key=lambda part: (lack[part] / max(wanted[part], _TINY), self.free[part]),
        )
        self.parts[row] = part
        self.free[part] -= weight
        for label in np.flatnonzero(self.counts[row]).tolist():
            self.lack[label][part] -= int(self.counts[row, label])
