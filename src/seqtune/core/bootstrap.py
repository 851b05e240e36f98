"""Paired bootstrap over the rows (users, texts) that several systems were scored on.

Each draw takes as many rows as there are, with replacement, and the same rows for every system:
what is easy or hard for all of them cancels out in a difference.

Shapes: U rows, C columns of numbers, D draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

DRAWS = 1000
LEVEL = 0.95
"""Of intervals; a difference is clear if its corrected p-value is at most the rest."""
FEWEST_ROWS = 10
"""For an interval; fewer rows say nothing about others like them."""
AT_ONCE = 1 << 22
"""Drawn rows at a time."""
GRID = 2.0**30
"""Values are rounded to 1 / GRID, so that sums are exact, in whatever order they are computed."""


class MeanInterval(NamedTuple):
    """A mean over rows, and the interval of its bootstrap means (none for very few rows)."""

    mean: float
    low: float | None
    high: float | None


class PairedTest(NamedTuple):
    """The mean of one system minus that of another on the same rows."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    """Share of draws that lie as far from the difference as it does from 0 (two-sided)."""
    corrected: float
    """The p-value after Holm's correction for all tests made together."""

    @property
    def is_clear(self) -> bool:
        return self.corrected <= 1 - LEVEL


def paired_tests(
    values: Mapping[str, Floats],  # [U] by system
    pairs: Iterable[tuple[str, str]],
    *,
    seed: int,
    draws: int = DRAWS,
) -> list[PairedTest]:
    """Test the difference of each pair of systems."""
    names, pairs = list(values), list(pairs)
    columns = np.stack([_on_grid(values[name]) for name in names], axis=1)  # [U, C]
    totals = columns.sum(axis=0)
    drawn = resampled_sums(columns, draws=draws, seed=seed)  # [D, C]
    first, second = ([names.index(pair[place]) for pair in pairs] for place in (0, 1))
    differences = (totals[first] - totals[second]) / len(columns)
    resampled = (drawn[:, first] - drawn[:, second]) / len(columns)
    lows, highs = _bounds(resampled)
    extreme = np.abs(resampled - differences) >= np.abs(differences)
    p_values = (1 + extreme.sum(axis=0)) / (draws + 1)
    numbers = zip(differences, lows, highs, p_values, holm(p_values), strict=True)
    return [PairedTest(*pair, *map(float, row)) for pair, row in zip(pairs, numbers, strict=True)]


def segment_intervals(
    values: Mapping[str, Floats],  # [U] by system
    segments: Sequence[Bools],  # [U] each
    *,
    seed: int,
    draws: int = DRAWS,
) -> list[dict[str, MeanInterval]]:
    """Return the mean of each system over the rows of each segment."""
    rows = np.stack(segments, axis=1).astype(np.float64)  # [U, segments]
    systems = np.stack([_on_grid(one) for one in values.values()], axis=1)  # [U, systems]
    columns = np.concatenate([rows, *(rows * one[:, None] for one in systems.T)], axis=1)
    sums = np.concatenate(
        [columns.sum(axis=0)[None], resampled_sums(columns, draws=draws, seed=seed)]
    )
    counts, *totals = np.split(sums, len(values) + 1, axis=1)  # [1 + D, segments] each
    found: list[dict[str, MeanInterval]] = [{} for _ in segments]
    for name, total in zip(values, totals, strict=True):
        means = total / np.maximum(counts, 1)
        lows, highs = _bounds(means[1:])
        for place, num_rows in enumerate(counts[0]):
            bounds = (float(lows[place]), float(highs[place]))
            enough = num_rows >= FEWEST_ROWS
            found[place][name] = MeanInterval(
                float(means[0, place]), *(bounds if enough else (None, None))
            )
    return found


def resampled_sums(columns: Floats, *, draws: int, seed: int) -> Floats:
    """Return the sums [D, C] of `columns` [U, C] over the rows of each draw."""
    num_rows = len(columns)
    generator = np.random.default_rng(seed)
    size = max(1, AT_ONCE // num_rows)
    sums = []
    for start in range(0, draws, size):
        num = min(size, draws - start)
        rows = generator.integers(num_rows, size=(num, num_rows))
        rows += np.arange(num)[:, None] * num_rows
        times = np.bincount(rows.ravel(), minlength=num * num_rows)  # each row is drawn
        sums.append(times.reshape(num, num_rows).astype(np.float64) @ columns)
    return np.concatenate(sums)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Correct p-values for being tested together, by Holm's method."""
    found = np.asarray(p_values, np.float64)
    order = np.argsort(found, kind="stable")
    remaining = len(found) - np.arange(len(found))
    corrected = np.empty_like(found)
    corrected[order] = np.maximum.accumulate(np.minimum(found[order] * remaining, 1.0))
    return corrected


def _on_grid(values: Floats) -> Floats:
    return np.asarray(np.rint(np.asarray(values, np.float64) * GRID) / GRID)


def _bounds(drawn: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the interval of each column [D, C]."""
    rest = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [rest, 1 - rest], axis=0)
    return low, high
