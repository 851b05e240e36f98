"""What the time column means, decided on the whole column.

    integer    whole numbers (unix seconds, milliseconds, 20240131, ...): kept as they are
    fraction   numbers of which some are no whole ones: in millionths (time * 1,000,000, rounded)
    timestamp  dates and times: microseconds since 1970 in UTC; without a zone, UTC is meant
    order      no time column: the number of the row in the files, from 0

Finer than a microsecond is not told apart: such rows keep their order in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import duckdb

from .engine import fill
from .loading import TEXT, TIME_RAW, WHOLE, Loaded

TimeKind = Literal["integer", "fraction", "timestamp", "order"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_PLAUSIBLE, _LAST_PLAUSIBLE = 10**8, 10**10  # 1973 to 2286 as unix seconds

_NUMBER = "CASE WHEN isfinite($number) AND $number >= 0 AND $number < 9.2e18 THEN $value END"
_STAMP = "CASE WHEN isfinite($stamp) THEN epoch_us($stamp) END"


@dataclass(frozen=True)
class Clock:
    """How a row's time is computed from `raw`."""

    kind: TimeKind
    expression: str
    """SQL of a whole number; null where the time is no time."""
    trusted: str
    """The same for a column in which all times are: cheaper."""


def detect_clock(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> Clock:
    """Whole numbers, other numbers or dates: whatever most of the column is."""
    if TIME_RAW not in loaded.types:
        return Clock("order", "rowid", "rowid")
    kind = loaded.types[TIME_RAW]
    if kind in WHOLE:
        return Clock("integer", "CASE WHEN time_raw >= 0 THEN time_raw END", "time_raw")
    if kind not in (TEXT, "DOUBLE"):
        return Clock("timestamp", fill(_STAMP, stamp="time_raw"), "epoch_us(time_raw)")
    number = "TRY_CAST(time_raw AS DOUBLE)"
    counts = "SELECT count(time_raw), count($number), $fractions FROM raw"
    num_times, num_numbers, num_fractions = connection.execute(
        fill(
            counts,
            number=number,
            fractions=f"count(*) FILTER (isfinite({number}) AND {number} <> trunc({number}))",
        )
    ).fetchall()[0]
    if num_numbers * 2 < num_times:
        stamp = "TRY_CAST(time_raw AS TIMESTAMPTZ)"
        return Clock("timestamp", fill(_STAMP, stamp=stamp), f"epoch_us({stamp})")
    if num_fractions:
        value = f"TRY_CAST(round({number} * 1e6) AS BIGINT)"
        return Clock("fraction", fill(_NUMBER, number=number, value=value), value)
    value = "TRY_CAST(time_raw AS BIGINT)"
    return Clock("integer", fill(_NUMBER, number=number, value=value), value)


def time_range(kind: TimeKind, first: int, last: int) -> dict[str, int | float | str]:
    """First and last time for the report, as dates where they are or seem to be dates."""
    if kind == "timestamp":
        return {"kind": kind, "first": iso(first), "last": iso(last)}
    if kind == "fraction":
        return {"kind": kind, "first": first / 1e6, "last": last / 1e6}
    found: dict[str, int | float | str] = {"kind": kind, "first": first, "last": last}
    for unit, per_second in _UNIX_UNITS.items():
        low, high = _FIRST_PLAUSIBLE * per_second, _LAST_PLAUSIBLE * per_second
        if kind == "integer" and low <= first and last < high:
            found["seems"] = f"unix time in {unit}"
            found["first_date"] = iso(first * 10**6 // per_second)
            found["last_date"] = iso(last * 10**6 // per_second)
    return found


def iso(microseconds: int) -> str:
    """ISO 8601 in UTC; beyond what a calendar can say, the number."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} us since 1970"
