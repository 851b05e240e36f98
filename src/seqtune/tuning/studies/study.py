"""Create studies by name, resume them, and repair them after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

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

NAMED_DIFFERENCES = 5
LONGEST_VALUE = 40


@dataclass(frozen=True)
class OpenedStudy:
    """A study that is ready for workers."""

    study: StoredStudy
    notes: tuple[str, ...]
    """What was resumed, or why a new study began."""


def study_name(plan: StudyPlan) -> str:
    """Return <task>-<stage>-<8 hex digits over `plan.identity()`>."""
    digest = sha256(canonical_json(plan.identity()).encode()).hexdigest()[:8]
    return f"{plan.task}-{plan.stage}-{digest}"


def open_study(ref: StorageUrl, plan: StudyPlan) -> OpenedStudy:
    """Open the study of this plan, or create it, in the parent before any worker starts.

    A study of another identity is another study and stays as it is.
    """
    if ref.file is not None:
        with explained(ref):
            check_file(ref.file)
    storage = open_storage(ref)
    with explained(ref), quiet_optuna():
        study, is_new = _create_or_load(storage, study_name(plan), plan)
        _describe(study, plan)
        notes = _notes_on_new(study, plan) if is_new else _notes_on_old(study, plan)
    return OpenedStudy(study, notes)


def load_study(ref: StorageUrl, name: str) -> StoredStudy:
    """Open an existing study through a connection of its own, as each worker does."""
    storage = reach(ref)
    with explained(ref), quiet_optuna():
        try:
            return StoredStudy(name, storage)
        except KeyError:
            known = ", ".join(sorted(one.study_name for one in storage.get_all_studies()))
    raise ArtifactError(f"{ref.place} holds no study {name!r}; it has: {known or 'none'}")


def _create_or_load(storage: BaseStorage, name: str, plan: StudyPlan) -> tuple[StoredStudy, bool]:
    directions = [StudyDirection[one.upper()] for one in plan.scoring.directions]
    is_new = True
    try:
        storage.create_new_study(directions, name)
    except DuplicatedStudyError:
        is_new = False
    return StoredStudy(name, storage), is_new


def _describe(study: StoredStudy, plan: StudyPlan) -> None:
    """Write the attributes of the study, unless its creator completed them."""
    if IDENTITY in study.user_attrs:
        return
    study.set_metric_names([goal.metric for goal in plan.scoring.all_goals])
    study.set_user_attr(TASK, plan.task)
    study.set_user_attr(STAGE, plan.stage)
    study.set_user_attr(CREATED, datetime.now(UTC).isoformat())
    study.set_user_attr(IDENTITY, plan.identity())


def _notes_on_old(study: StoredStudy, plan: StudyPlan) -> tuple[str, ...]:
    counts = count(study)
    text = f"resuming study {study.study_name}: {counts.finished} of {plan.total} trials finished"
    text += f", {counts.infeasible} infeasible" if counts.infeasible else ""
    return (text + (f", {counts.failed} failed" if counts.failed else ""),)


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
    """List the first few keys in which two identities differ, with both values."""
    before, after = (dict(flatten(json.loads(canonical_json(one)))) for one in (old, new))
    lines = [
        f"{key}: {_show(before, key)} -> {_show(after, key)}"
        for key in sorted({*before, *after})
        if key not in before or key not in after or before[key] != after[key]
    ]
    if len(lines) > NAMED_DIFFERENCES:
        left = len(lines) - NAMED_DIFFERENCES
        lines = [*lines[:NAMED_DIFFERENCES], f"and {left} more"]
    return lines


def _show(values: Mapping[str, Any], key: str) -> str:
    return shorten(canonical_json(values[key]), LONGEST_VALUE) if key in values else "absent"


def recover(
    study: StoredStudy,
    *,
    max_retries: int,
    grace_seconds: int,
    condemned: Mapping[int, str] = MappingProxyType({}),
) -> int:
    """Mark trials whose process is gone as lost, queue them again, and return how many.

    A process of another machine is gone after `grace_seconds` without a heartbeat. `condemned`:
    trials by number whose process was killed on purpose, with the reason: they fail.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    silent = study.heartbeats.silent(running, grace_seconds=grace_seconds)
    num_lost = 0
    for trial in running:
        is_silent = trial.number in silent
        reason = _reason_gone(trial, is_silent=is_silent, grace_seconds=grace_seconds)
        if reason and trial.number in condemned:
            mark_failed(study, trial, condemned[trial.number])
        elif reason:
            num_lost += mark_lost(study, trial, reason, max_retries=max_retries)
    return num_lost + _queue_orphans(study, grace_seconds=grace_seconds)


def _reason_gone(trial: FrozenTrial, *, is_silent: bool, grace_seconds: int) -> str:
    """Explain why no process runs it any more; empty while one does or may."""
    worker = trial.user_attrs.get(WORKER, {})
    alive = is_alive(worker) if worker else None
    if alive is False:
        return f"its process {worker.get('pid')} ended"
    if alive is None and is_silent:
        return f"no heartbeat from {worker_name(worker) or 'its worker'} for {grace_seconds} s"
    if not worker and _is_older(trial.datetime_start, grace_seconds):
        return "its worker ended before it began"
    return ""


def _is_older(moment: datetime | None, seconds: int) -> bool:
    # Optuna writes local time without its zone
    return moment is not None and datetime.now() - moment > timedelta(seconds=seconds)


def _queue_orphans(study: StoredStudy, *, grace_seconds: int) -> int:
    """Queue successors of lost trials whose worker was killed before it queued them."""
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
