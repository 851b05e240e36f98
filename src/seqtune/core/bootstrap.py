"""Paired bootstrap over the rows (users, texts) that several systems were scored on.

Each draw takes as many rows as there are, with replacement, and the same rows for every system:
what is easy or hard for all of them cancels out in a difference.

The metric is a mean over rows, or a function of sums over rows (`OfSums`), such as macro F1.

Shapes: U rows, K numbers for a row, D draws, N systems, S segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
OfSums = Callable[[Floats], Floats]
"""From the sums of numbers over some rows [..., K] to their metric [...]."""

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
    """The metric of some rows, a mean if nothing else is said, and its bootstrap interval (none
    for very few rows)."""

    mean: float
    low: float | None
    high: float | None


class PairedTest(NamedTuple):
    """The metric of one system minus that of another on the same rows."""

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
    values: Mapping[str, Floats],  # [U] by system; [U, K] with `of_sums`
    pairs: Iterable[tuple[str, str]],
    *,
    seed: int,
    draws: int = DRAWS,
    of_sums: OfSums | None = None,
) -> list[PairedTest]:
    """Test the difference of each pair of systems: of their means, or of `of_sums`."""
    names, pairs = list(values), list(pairs)
    rows = [_on_grid(values[name]) for name in names]

    def measure(times: Floats) -> Floats:  # [D, U] -> [D, N]
        sums = [times @ own for own in rows]
        return np.stack([of_sums(one) for one in sums] if of_sums else sums, axis=1)

    num_rows = len(rows[0])
    totals = measure(np.ones((1, num_rows)))[0]
    drawn = resampled(num_rows, measure, draws=draws, seed=seed)
    first, second = ([names.index(pair[place]) for pair in pairs] for place in (0, 1))
    whole = 1 if of_sums else num_rows
    differences = (totals[first] - totals[second]) / whole
    redrawn = (drawn[:, first] - drawn[:, second]) / whole
    lows, highs = _bounds(redrawn)
    extreme = np.abs(redrawn - differences) >= np.abs(differences)
    p_values = (1 + extreme.sum(axis=0)) / (draws + 1)
    numbers = zip(differences, lows, highs, p_values, holm(p_values), strict=True)
    return [PairedTest(*pair, *map(float, row)) for pair, row in zip(pairs, numbers, strict=True)]


def segment_intervals(
    values: Mapping[str, Floats],  # [U] by system; [U, K] with `of_sums`
    segments: Sequence[Bools],  # [U] each
    *,
    seed: int,
    draws: int = DRAWS,
    of_sums: OfSums | None = None,
) -> list[dict[str, MeanInterval]]:
    """Return the mean of each system over the rows of each segment, or what `of_sums` returns."""
    rows = [_on_grid(own) for own in values.values()]
    num_rows = len(rows[0])
    parts = [(mask, [own[mask] for own in rows]) for mask in segments]

    def measure(times: Floats) -> Floats:  # [D, U] -> [D, N, S]
        found = []
        for mask, some in parts:
            taken = times[:, mask]
            counts = np.maximum(taken.sum(axis=1), 1)
            sums = [taken @ own for own in some]
            found.append([of_sums(one) if of_sums else one / counts for one in sums])
        return np.array(found).transpose(2, 1, 0)

    whole = measure(np.ones((1, num_rows)))[0]  # [N, S]
    lows, highs = _bounds(resampled(num_rows, measure, draws=draws, seed=seed))
    found: list[dict[str, MeanInterval]] = []
    for place, mask in enumerate(segments):
        numbers = np.stack([whole, lows, highs], axis=2)[:, place].tolist()
        enough = mask.sum() >= FEWEST_ROWS
        found.append(
            {
                name: MeanInterval(*own) if enough else MeanInterval(own[0], None, None)
                for name, own in zip(values, numbers, strict=True)
            }
        )
    return found


def resampled(
    num_rows: int, measure: Callable[[Floats], Floats], *, draws: int, seed: int
) -> Floats:
    """Return `measure` [D, ...] of how often each draw takes each row [D, U]."""
    generator = np.random.default_rng(seed)
    size = max(1, AT_ONCE // num_rows)
    found = []
    for start in range(0, draws, size):
        num = min(size, draws - start)
        rows = generator.integers(num_rows, size=(num, num_rows))
        rows += np.arange(num)[:, None] * num_rows
        times = np.bincount(rows.ravel(), minlength=num * num_rows)
        found.append(measure(times.reshape(num, num_rows).astype(np.float64)))
    return np.concatenate(found)


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
    """Return the ends of the interval of each column [D, ...]."""
    rest = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [rest, 1 - rest], axis=0)
    return low, high
