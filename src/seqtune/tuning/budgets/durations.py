"""Durations such as 90m, 6h, 1d12h."""

from __future__ import annotations

import re

from seqtune.core.errors import ConfigurationError

UNIT_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
EXAMPLES = "90m, 6h or 1d12h"
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def parse_duration(text: str, *, root: str = "tuning.budget") -> float:
    """Return the seconds. Units from week to second, each once, the larger first."""
    compact = "".join(text.lower().split())
    parts = _PART.findall(compact)
    units = [unit for _, unit in parts]
    is_whole = "".join(number + unit for number, unit in parts) == compact
    is_ordered = units == [unit for unit in UNIT_SECONDS if unit in units]
    seconds = sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)
    if is_whole and parts and not seconds:
        raise ConfigurationError(f"{root}={text!r} leaves no time; write more, such as {EXAMPLES}")
    if not (is_whole and is_ordered and seconds > 0):
        raise ConfigurationError(
            f"{root}={text!r} is not a duration; write numbers with w, d, h, m or s, the larger "
            f"first, such as {EXAMPLES}"
        )
    return seconds
