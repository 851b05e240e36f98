"""Find out what the time column means, from the whole column.

    integer    whole numbers (unix seconds, milliseconds, 20240131, ...): kept as they are
    fraction   numbers, some of them not whole: in millionths (time * 1,000,000, rounded)
    timestamp  dates and times: microseconds since 1970 in UTC; without a zone, UTC is meant
    order      no time column: the number of the row in the files, from 0

Times that differ by less than a microsecond are equal: such rows keep their order in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import duckdb

from .engine import fill
from .loading import TEXT, TIME_RAW, Loaded
from .numerals import INTEGER, SMALL

TimeKind = Literal["integer", "fraction", "timestamp", "order"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNIX_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_PLAUSIBLE, _LAST_PLAUSIBLE = 10**8, 10**10  # 1973 to 2286 as unix seconds


@dataclass(frozen=True)
class TimeParser:
    """SQL that computes a row's time from the table `raw`."""

    kind: TimeKind
    value: str
    """A whole number, for rows whose time is not bad."""
    is_bad: str
    """Whether a time that is not null is invalid."""
    unit: str | None = None
    """Of unix times, which most values seem to be."""
    notes: tuple[str, ...] = ()

    @property
    def expression(self) -> str:
        """The value, null where the time is null or bad."""
        return f"CASE WHEN NOT ({self.is_bad}) THEN {self.value} END"


def detect_clock(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> TimeParser:
    """Take the column as whole numbers, other numbers or dates: as most of its values are."""
    if TIME_RAW not in loaded.types:
        return TimeParser("order", value="rowid", is_bad="false")
    kind = loaded.types[TIME_RAW]
    if kind == SMALL:
        return TimeParser("integer", value="time_raw", is_bad="time_raw < 0")
    if kind not in (INTEGER, TEXT, "DOUBLE"):
        return _timestamp("time_raw")
    number = "time_raw" if kind == INTEGER else "TRY_CAST(time_raw AS DOUBLE)"
    exponent = "contains(time_raw, 'e') OR contains(time_raw, 'E')" if kind == TEXT else "false"
    ranges = _unix_ranges(number)
    filled = fill(
        "SELECT count(time_raw), count($number), "
        "count(*) FILTER (isfinite($number) AND $number <> trunc($number)), "
        "count($number) FILTER ($exponent), $counts FROM raw",
        number=number,
        exponent=exponent,
        counts=", ".join(f"count(*) FILTER ({condition})" for condition in ranges.values()),
    )
    num_times, num_numbers, num_fractions, num_exponents, *in_units = connection.execute(
        filled
    ).fetchall()[0]
    if num_numbers * 2 < num_times:
        return _timestamp("TRY_CAST(time_raw AS TIMESTAMPTZ)")
    value = f"round({number} * 1e6)" if num_fractions else "time_raw"
    value = f"TRY_CAST({value} AS BIGINT)"
    is_bad = fill(
        "NOT coalesce(isfinite($number) AND $number >= 0 AND $value IS NOT NULL, false)",
        number=number,
        value=value,
    )
    unit, others = _choose_unit(ranges, in_units, num_numbers)
    note = (
        f"column {loaded.columns[TIME_RAW]!r}: {num_exponents} times have an exponent, as in "
        "1.6e9, and may have lost digits in a spreadsheet; export them in full"
    )
    return TimeParser(
        "fraction" if num_fractions else "integer",
        value=value,
        is_bad=" OR ".join([is_bad, *others]),
        unit=unit,
        notes=(note,) if num_exponents else (),
    )


def _unix_ranges(number: str) -> dict[str, str]:
    """Return SQL that tells whether a number seems to be a unix time, by unit."""
    return {
        unit: f"{number} BETWEEN {_FIRST_PLAUSIBLE * n} AND {min(_LAST_PLAUSIBLE * n, 2**63) - 1}"
        for unit, n in UNIX_UNITS.items()
    }


def _choose_unit(
    ranges: Mapping[str, str], nums: Sequence[int], num_numbers: int
) -> tuple[str | None, list[str]]:
    """Return the unit of most times, if they are unix times, and SQL for those in others."""
    by_unit = dict(zip(ranges, nums, strict=True))
    unit = max(by_unit, key=lambda unit: by_unit[unit])
    if by_unit.pop(unit) * 2 < num_numbers:
        return None, []
    return unit, [ranges[other] for other, num in by_unit.items() if num]


def _timestamp(stamp: str) -> TimeParser:
    is_bad = f"NOT coalesce(isfinite({stamp}), false)"
    return TimeParser("timestamp", value=f"epoch_us({stamp})", is_bad=is_bad)


def time_range(kind: TimeKind, first: int, last: int) -> dict[str, int | float | str]:
    """Return first and last time for the report, as dates where they are or seem to be dates."""
    if kind == "timestamp":
        return {"kind": kind, "first": iso(first), "last": iso(last)}
    if kind == "fraction":
        return {"kind": kind, "first": first / 1e6, "last": last / 1e6}
    found: dict[str, int | float | str] = {"kind": kind, "first": first, "last": last}
    unit = unix_unit(first, last)
    if kind == "integer" and unit:
        per_second = UNIX_UNITS[unit]
        found["seems"] = f"unix time in {unit}"
        found["first_date"] = iso(first * 10**6 // per_second)
        found["last_date"] = iso(last * 10**6 // per_second)
    return found


def unix_unit(first: int, last: int) -> str | None:
    """Return the unit in which these numbers would be unix times between 1973 and 2286, if any."""
    for unit, per_second in UNIX_UNITS.items():
        if _FIRST_PLAUSIBLE * per_second <= first and last < _LAST_PLAUSIBLE * per_second:
            return unit
    return None


def iso(microseconds: int) -> str:
    """Return ISO 8601 in UTC; beyond the range of calendar dates, the number."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} us since 1970"
