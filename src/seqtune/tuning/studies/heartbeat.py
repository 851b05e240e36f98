"""Heartbeats of running trials: a trial attribute, which also passes through a proxy."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from .storage_url import StorageUrl

logger = logging.getLogger(__name__)

BEAT = "beat"
"""Trial attribute: the time of the last heartbeat by the clock of the worker."""
CLOCK_SKEW_SECONDS = 300
"""Largest expected difference between the clocks of two machines."""


@contextmanager
def beating(
    study: optuna.Study, trial: optuna.Trial | FrozenTrial, *, ref: StorageUrl
) -> Iterator[None]:
    """Renew the heartbeat of the trial in a thread until the block ends."""
    from .stored_study import trial_in_storage

    stop = threading.Event()
    storage, trial_id = trial_in_storage(study, trial.number)

    def renew() -> None:
        while not stop.wait(ref.heartbeat_seconds):
            _beat(storage, trial_id)
        storage.remove_session()

    _beat(storage, trial_id)
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(storage: Any, trial_id: int) -> None:
    try:
        storage.set_trial_user_attr(trial_id, BEAT, time.time())
    except Exception as error:  # noqa: BLE001 - the thread that runs the trial gets it too
        logger.debug("no heartbeat: %s", type(error).__name__)


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
