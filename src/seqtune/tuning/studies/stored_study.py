"""A study with its storage, whose public methods end trials of other processes."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage

from .heartbeat import HeartbeatMonitor


class StoredStudy(optuna.Study):
    """Optuna keeps the storage of a study private; this one names it."""

    def __init__(self, name: str, storage: BaseStorage) -> None:
        super().__init__(name, storage, optuna.samplers.RandomSampler(), optuna.pruners.NopPruner())
        self.storage = storage
        self.id = storage.get_study_id_from_name(name)
        self.heartbeats = HeartbeatMonitor()


def trial_in_storage(study: optuna.Study, number: int) -> tuple[BaseStorage, int]:
    """The storage of a `StoredStudy`, and the id that the trial of this number has in it."""
    if not isinstance(study, StoredStudy):
        raise TypeError(f"study {study.study_name} was not opened by open_study or load_study")
    storage = study.storage
    return storage, storage.get_trial_id_from_study_id_trial_number(study.id, number)
