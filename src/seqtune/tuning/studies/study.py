"""Studies by name: made, taken up again, and mended after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from seqtune.core.config import canonical_json
from seqtune.core.errors import ArtifactError
from seqtune.core.format import shorten
from seqtune.core.resolve import flatten

from ..plan import StudyPlan
from .processes import is_alive, worker_name
from .records import (
    AGAIN,
    CREATED,
    IDENTITY,
    PREVIOUS,
    STAGE,
    TASK,
    WORKER,
    count,
    mark_failed,
    mark_lost,
    queue_again,
    state_of,
)
from .storage import open_storage, quiet_optuna, reach
from .storage_errors import check_file, explained
from .storage_url import StorageUrl
from .stored_study import StoredStudy

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

NAMED_DIFFERENCES = 5
LONGEST_VALUE = 40


@dataclass(frozen=True)
class OpenedStudy:
    """A study that is ready for workers."""

    study: StoredStudy
    is_new: bool
    notes: tuple[str, ...]
    """What a person should know: what is taken up, or why a new one was begun."""


def study_name(plan: StudyPlan) -> str:
    """<task>-<stage>-<8 hex digits over everything that makes it another study>."""
    digest = sha256(canonical_json(plan.identity()).encode()).hexdigest()[:8]
    return f"{plan.task}-{plan.stage}-{digest}"


def open_study(ref: StorageUrl, plan: StudyPlan) -> OpenedStudy:
    """The study of this plan, made where there is none yet.

    Called in the parent before any worker starts. One that differs in anything that counts is
    another study, and stays.
    """
    if ref.file is not None:
        with explained(ref):
            check_file(ref.file)
    storage = open_storage(ref)
    with explained(ref), quiet_optuna():
        study, is_new = _create_or_load(storage, study_name(plan), plan)
        _describe(study, plan)
        notes = _notes_on_new(study, plan) if is_new else _notes_on_old(study, plan)
    return OpenedStudy(study, is_new, notes)


def load_study(ref: StorageUrl, name: str) -> StoredStudy:
    """A study that exists, through a connection of its own: what each worker calls."""
    storage = reach(ref)
    try:
        with explained(ref), quiet_optuna():
            return StoredStudy(name, storage)
    except KeyError:
        known = ", ".join(names(ref)) or "none"
        raise ArtifactError(f"{ref.place} holds no study {name!r}; it has: {known}") from None


def names(ref: StorageUrl) -> list[str]:
    """Names of all studies there."""
    storage = reach(ref)
    with explained(ref):
        return sorted(frozen.study_name for frozen in storage.get_all_studies())


def _create_or_load(storage: BaseStorage, name: str, plan: StudyPlan) -> tuple[StoredStudy, bool]:
    from optuna.exceptions import DuplicatedStudyError
    from optuna.study import StudyDirection

    directions = [StudyDirection[one.upper()] for one in plan.scoring.directions]
    try:
        storage.create_new_study(directions, name)
    except DuplicatedStudyError:
        return StoredStudy(name, storage), False
    return StoredStudy(name, storage), True


def _describe(study: StoredStudy, plan: StudyPlan) -> None:
    """What the name stands for; made good where the creator died before it came so far."""
    if IDENTITY in study.user_attrs:
        return
    study.set_metric_names([goal.metric for goal in plan.scoring.all_goals])
    study.set_user_attr(TASK, plan.task)
    study.set_user_attr(STAGE, plan.stage)
    study.set_user_attr(CREATED, datetime.now(UTC).isoformat())
    study.set_user_attr(IDENTITY, plan.identity())


def _notes_on_old(study: StoredStudy, plan: StudyPlan) -> tuple[str, ...]:
    counts = count(study)
    ended = [f"{counts.finished} of {plan.total} trials finished"]
    ended += [f"{counts.infeasible} infeasible"] if counts.infeasible else []
    ended += [f"{counts.failed} failed"] if counts.failed else []
    return (f"taking up study {study.study_name}: {', '.join(ended)}",)


def _notes_on_new(study: StoredStudy, plan: StudyPlan) -> tuple[str, ...]:
    older = _newest_of_the_kind(study, plan)
    if older is None:
        return (f"new study {study.study_name}: {plan.total} trials to run",)
    name, identity = older
    lines = differences(identity, plan.identity())
    return (
        f"new study {study.study_name}, because this differs from {name}, which stays as it is:",
        *(f"  {line}" for line in lines),
    )


def _newest_of_the_kind(study: StoredStudy, plan: StudyPlan) -> tuple[str, dict[str, Any]] | None:
    others = [
        (str(frozen.user_attrs.get(CREATED, "")), frozen.study_name, frozen.user_attrs[IDENTITY])
        for frozen in study.storage.get_all_studies()
        if frozen.study_name != study.study_name
        and (frozen.user_attrs.get(TASK), frozen.user_attrs.get(STAGE)) == (plan.task, plan.stage)
        and IDENTITY in frozen.user_attrs
    ]
    return max(others)[1:] if others else None


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Key by key, the first few: what one identity says and what the other."""
    before, after = (dict(flatten(json.loads(canonical_json(one)))) for one in (old, new))
    lines = [
        f"{key}: {_shown(before, key)} -> {_shown(after, key)}"
        for key in sorted({*before, *after})
        if key not in before or key not in after or before[key] != after[key]
    ]
    if len(lines) > NAMED_DIFFERENCES:
        left = len(lines) - NAMED_DIFFERENCES
        lines = [*lines[:NAMED_DIFFERENCES], f"and {left} more"]
    return lines


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "absent"
    return shorten(canonical_json(values[key]), LONGEST_VALUE)


def recover(
    study: StoredStudy,
    *,
    max_retries: int,
    grace_seconds: int,
    condemned: Mapping[int, str] = MappingProxyType({}),
) -> int:
    """Trials whose process is gone become lost and are queued again; how many.

    A process of this machine is looked up; one of another machine is gone when it was seen without
    a heartbeat for `grace_seconds`. `condemned`: trials by number whose process was killed for
    that reason: they have failed.
    """
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    silent = study.heartbeats.silent(running, grace_seconds=grace_seconds)
    num_lost = 0
    for trial in running:
        reason = _gone(trial, is_silent=trial.number in silent, grace_seconds=grace_seconds)
        if reason and trial.number in condemned:
            mark_failed(study, trial, condemned[trial.number])
        elif reason:
            num_lost += mark_lost(study, trial, reason, max_retries=max_retries)
    return num_lost + _queue_orphans(study, grace_seconds=grace_seconds)


def _gone(trial: FrozenTrial, *, is_silent: bool, grace_seconds: int) -> str:
    """Why nobody runs it any more; empty while somebody does or may."""
    worker = trial.user_attrs.get(WORKER, {})
    alive = is_alive(worker) if worker else None
    if alive is False:
        return f"its process {worker.get('pid')} ended"
    if alive is None and is_silent:
        return f"no sign of life from {worker_name(worker) or 'its worker'} for {grace_seconds} s"
    if not worker and _is_older(trial.datetime_start, grace_seconds):
        return "its worker ended before it began"
    return ""


def _is_older(moment: datetime | None, seconds: int) -> bool:
    # Optuna writes the local time, without its zone
    return moment is not None and datetime.now() - moment > timedelta(seconds=seconds)


def _queue_orphans(study: StoredStudy, *, grace_seconds: int) -> int:
    """Lost trials whose successor was never queued: whoever was about to was killed itself."""
    trials = study.get_trials(deepcopy=False)
    succeeded = {trial.user_attrs.get(PREVIOUS) for trial in trials}
    orphans = [
        trial
        for trial in trials
        if state_of(trial) == "lost"
        and AGAIN in trial.user_attrs
        and trial.number not in succeeded
        and _is_older(trial.datetime_complete, grace_seconds)
    ]
    for trial in orphans:
        queue_again(study, trial, retries=trial.user_attrs[AGAIN])
    return len(orphans)
