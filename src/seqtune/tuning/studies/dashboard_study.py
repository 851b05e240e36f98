"""Which study a person wants to look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqtune.core.errors import ArtifactError, ConfigurationError, did_you_mean

from .records import CREATED, STAGE, TASK, is_imported, state_of
from .storage import open_storage, quiet_optuna
from .storage_errors import check_file, explained
from .storage_url import StorageUrl

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

SEARCHES = ("test", "quick", "medium")
"""Stages that search; the others run lists."""


@dataclass(frozen=True)
class DashboardStudy:
    number: int
    """Its id in the storage."""
    name: str
    num_finished: int


def dashboard_study(ref: StorageUrl, *, task: str, name: str | None = None) -> DashboardStudy:
    """The named study, or the newest search of a task in which a trial has finished.

    A medium stage is begun after its quick stage, so it is the newer of the two.
    """
    if ref.file is not None and not ref.file.exists():
        raise _nothing_yet(ref, task)
    with explained(ref), quiet_optuna():
        if ref.file is not None:
            check_file(ref.file)
        storage = open_storage(ref)
        studies = {one.study_name: one.user_attrs for one in storage.get_all_studies()}
        if name is not None:
            _require(name, studies, ref)
            return _shown(storage, name)
        for newest in sorted(studies, key=lambda one: _age(studies[one]), reverse=True):
            attributes = studies[newest]
            if (attributes.get(TASK), attributes.get(STAGE)) in {(task, one) for one in SEARCHES}:
                shown = _shown(storage, newest)
                if shown.num_finished:
                    return shown
    raise _nothing_yet(ref, task)


def _age(attributes: Mapping[str, Any]) -> str:
    return str(attributes.get(CREATED, ""))


def _require(name: str, known: Collection[str], ref: StorageUrl) -> None:
    if name not in known:
        hint = did_you_mean(name, list(known)) if known else "there is none yet"
        raise ConfigurationError(f"{ref.place} holds no study {name!r}; {hint} (--study)")


def _shown(storage: BaseStorage, name: str) -> DashboardStudy:
    study_id = storage.get_study_id_from_name(name)
    trials = storage.get_all_trials(study_id, deepcopy=False)
    finished = sum(
        state_of(trial) in {"complete", "pruned"} and not is_imported(trial) for trial in trials
    )
    return DashboardStudy(study_id, name, finished)


def _nothing_yet(ref: StorageUrl, task: str) -> ArtifactError:
    return ArtifactError(
        f"{ref.place} holds no study of {task} with a finished trial. Tune first: kedro run "
        f"--pipelines {task}.tune; studies of another environment are shown with --env"
    )
