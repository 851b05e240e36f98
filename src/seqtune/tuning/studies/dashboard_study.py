"""Find the study that the dashboard shows."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.storages import BaseStorage

from seqtune.core.errors import ArtifactError, ConfigurationError, did_you_mean
from seqtune.core.trials import FINISHED

from .records import CREATED, STAGE, TASK, own_trials, state_of
from .storage import open_storage, quiet_optuna
from .storage_errors import check_file, explained
from .storage_url import StorageUrl

SEARCHES = ("test", "quick", "medium")
"""Stages that search; the others run given configurations."""


@dataclass(frozen=True)
class DashboardStudy:
    number: int
    """The id in the storage."""
    name: str
    num_finished: int


def dashboard_study(ref: StorageUrl, *, task: str, name: str | None = None) -> DashboardStudy:
    """Return the named study, or the newest search of the task with a finished trial."""
    if ref.file is not None and not ref.file.exists():
        raise _nothing_yet(ref, task)
    with explained(ref), quiet_optuna():
        if ref.file is not None:
            check_file(ref.file)
        storage = open_storage(ref)
        studies = {one.study_name: one.user_attrs for one in storage.get_all_studies()}
        if name in studies:
            return _load(storage, name)
        if name is not None:
            hint = did_you_mean(name, list(studies)) if studies else "it is empty"
            raise ConfigurationError(f"{ref.place} holds no study {name!r}; {hint} (--study)")
        by_age = sorted(studies, key=lambda one: str(studies[one].get(CREATED, "")), reverse=True)
        for newest in by_age:
            attributes = studies[newest]
            if attributes.get(TASK) == task and attributes.get(STAGE) in SEARCHES:
                found = _load(storage, newest)
                if found.num_finished:
                    return found
    raise _nothing_yet(ref, task)


def _load(storage: BaseStorage, name: str) -> DashboardStudy:
    study_id = storage.get_study_id_from_name(name)
    trials = own_trials(storage.get_all_trials(study_id, deepcopy=False))
    return DashboardStudy(study_id, name, sum(state_of(one) in FINISHED for one in trials))


def _nothing_yet(ref: StorageUrl, task: str) -> ArtifactError:
    return ArtifactError(
        f"{ref.place} holds no study of {task} with a finished trial. Tune first: kedro run "
        f"--pipelines {task}.tune; studies of another environment are shown with --env"
    )
