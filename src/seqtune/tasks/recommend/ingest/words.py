"""A row as one 64-bit word: its user within a piece, its time, its item."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from .engine import fill

WORD_BITS = 63

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class UserRange:
    """A piece of the table `numbered`: users first..last."""

    first: int
    last: int
    num_rows: int
    condition: str
    """SQL that chooses them."""

    @property
    def num(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Layout:
    """Where user, time and item lie in a word."""

    first_time: int
    time_unit: int
    """All times are `first_time` plus a multiple of it."""
    time_bits: int
    item_bits: int

    @property
    def user_shift(self) -> int:
        return self.time_bits + self.item_bits

    @property
    def rest(self) -> str:
        """SQL of a word without its user."""
        return fill(
            "(((time - ($time)) // $unit) << $shift) | item",
            time=self.first_time,
            unit=self.time_unit,
            shift=self.item_bits,
        )

    def fits(self, users: UserRange) -> bool:
        user_bits = (users.last - users.first).bit_length()
        return user_bits + self.user_shift <= WORD_BITS


def find_layout(
    connection: duckdb.DuckDBPyConnection, table: str, *, num_items: int, kind: str
) -> Layout:
    """The fewest bits that hold all times and items."""
    second = 1_000_000 if kind == "timestamp" else 1
    first, last, whole = connection.execute(
        fill(
            "SELECT min(time), max(time), $whole FROM $table",
            table=table,
            whole=f"bool_and(time % {second} = 0)" if second > 1 else "true",
        )
    ).fetchall()[0]
    unit = second if whole else 1
    return Layout(first, unit, ((last - first) // unit).bit_length(), num_items.bit_length())
