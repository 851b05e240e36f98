"""A study with its storage, by which one process ends trials of another."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage

from .heartbeat_monitor import HeartbeatMonitor


class StoredStudy(optuna.Study):
    """A study with a public storage; Optuna keeps it private."""

    def __init__(self, name: str, storage: BaseStorage) -> None:
        super().__init__(name, storage, optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
        self.storage = storage
        self.id = storage.get_study_id_from_name(name)
        self.heartbeats = HeartbeatMonitor()


def trial_in_storage(study: optuna.Study, number: int) -> tuple[BaseStorage, int]:
    """Return the storage of a `StoredStudy` and the id of the trial with this number in it."""
    if not isinstance(study, StoredStudy):
        raise TypeError(f"study {study.study_name} was not opened by open_study or load_study")
    return study.storage, study.storage.get_trial_id_from_study_id_trial_number(study.id, number)
