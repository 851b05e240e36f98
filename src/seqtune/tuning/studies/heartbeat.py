"""Heartbeats of running trials: a trial attribute, which also passes through a proxy."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from .heartbeat_monitor import BEAT
from .storage_url import StorageUrl
from .stored_study import trial_in_storage

logger = logging.getLogger(__name__)


@contextmanager
def beating(
    study: optuna.Study, trial: optuna.Trial | FrozenTrial, *, ref: StorageUrl
) -> Iterator[None]:
    """Renew the heartbeat of the trial in a thread until the block ends."""
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
