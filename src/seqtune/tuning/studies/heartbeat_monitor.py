"""Trials whose heartbeat has stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence

from optuna.trial import FrozenTrial

BEAT = "beat"
"""Trial attribute: the time of the last heartbeat by the clock of the worker."""
CLOCK_SKEW_SECONDS = 300
"""Largest expected difference between the clocks of two machines."""


class HeartbeatMonitor:
    """Find running trials without a heartbeat, although clocks of machines differ."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}

    def silent(self, running: Sequence[FrozenTrial], *, grace_seconds: int) -> set[int]:
        """Return the numbers of trials without a new beat for `grace_seconds` by the local clock.

        A beat older than clocks can differ counts at once.
        """
        now = time.monotonic()
        beats = {one.number: one.user_attrs[BEAT] for one in running if BEAT in one.user_attrs}
        self._seen = {
            number: seen if (seen := self._seen.get(number, (0.0, 0.0)))[0] == beat else (beat, now)
            for number, beat in beats.items()
        }
        too_old = time.time() - grace_seconds - CLOCK_SKEW_SECONDS
        return {
            number
            for number, (beat, since) in self._seen.items()
            if now - since >= grace_seconds or beat < too_old
        }
