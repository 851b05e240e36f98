"""How a trial's story is kept in a study: attributes, their meaning, and trials as plain values.

Optuna knows five states; ours are told apart by an attribute: an infeasible trial is a pruned one
with a constraint (samplers learn from it), a lost one is a failed one that is run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from seqtune.core.execution import Process
from seqtune.core.trials import FINISHED, State, Trial

from .processes import worker_name

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

# Attributes of a study.
IDENTITY = "identity"
"""`StudyPlan.identity()`: what the fingerprint in its name stands for."""
TASK, STAGE, CREATED = "task", "stage", "created"
CLOSING = "closing"
"""Non-empty: nobody asks for a new trial any more; the reason."""

# Attributes of a trial.
STATE = "state"
"""infeasible, lost or failed, where Optuna's own state does not say it."""
REASON = "reason"
WORKER = "worker"
"""`worker_identity()` of the process that runs it; set right after it was asked for."""
ORIGIN = "origin"
"""queued, retried or imported; absent: sampled."""
METRICS = "metrics"
"""Everything measured at the best epoch."""
SCORE = "score"
"""What the search goes by; needed for pruned trials (best so far) and several objectives."""
CURVE = "curve"
"""The curve of a trial with several objectives, for which Optuna keeps none."""
ROOT = "root"
"""Number of the trial that this one runs again, followed back to the first."""
PREVIOUS = "previous"
"""Number of the lost trial that this one takes the place of."""
RETRIES = "retries"
"""How often its process has died so far; a stop in good order does not count."""
AGAIN = "again"
"""A lost trial that is to be run again: RETRIES of the one that takes its place."""
SOURCE = "source"
"""Imported trials: the study they come from."""

QUEUED, RETRIED, IMPORTED = "queued", "retried", "imported"


@dataclass(frozen=True)
class Counts:
    """How many trials of a study stand where, imported ones left out."""

    complete: int = 0
    pruned: int = 0
    infeasible: int = 0
    failed: int = 0
    lost: int = 0
    running: int = 0
    waiting: int = 0

    @property
    def finished(self) -> int:
        """What counts towards a stage's total."""
        return self.complete + self.pruned


def state_of(frozen: FrozenTrial) -> State:
    """The state in our words."""
    name = frozen.state.name
    if name == "PRUNED":
        return "infeasible" if frozen.user_attrs.get(STATE) == "infeasible" else "pruned"
    if name == "FAIL":
        return "lost" if frozen.user_attrs.get(STATE) == "lost" else "failed"
    return {"COMPLETE": "complete", "RUNNING": "running", "WAITING": "waiting"}[name]  # type: ignore[return-value]


def is_imported(frozen: FrozenTrial) -> bool:
    """Whether it was measured elsewhere: samplers learn from it, no total counts it."""
    return frozen.user_attrs.get(ORIGIN) == IMPORTED


def root_number(frozen: FrozenTrial | optuna.Trial) -> int:
    """The number under which it was first run: names its folder, whoever runs it again."""
    return int(frozen.user_attrs.get(ROOT, frozen.number))


def process_of(frozen: FrozenTrial) -> Process | None:
    """The process that runs it, or ran it; None where none has set its name to it yet."""
    worker = frozen.user_attrs.get(WORKER)
    return Process(int(worker["pid"]), str(worker["host"])) if worker else None


def to_trial(frozen: FrozenTrial) -> Trial:
    """Optuna's trial as a plain value."""
    attributes = frozen.user_attrs
    values = tuple(frozen.values or ())
    return Trial(
        number=frozen.number,
        state=state_of(frozen),
        params={**frozen.system_attrs.get("fixed_params", {}), **frozen.params},
        score=attributes.get(SCORE, values[0] if len(values) == 1 else None),
        values=values,
        metrics=attributes.get(METRICS, {}),
        curve=_curve(frozen),
        reason=attributes.get(REASON, ""),
        origin=attributes.get(ORIGIN, "sampled"),
        started=_utc(frozen.datetime_start),
        seconds=frozen.duration.total_seconds() if frozen.duration is not None else None,
        worker=worker_name(attributes.get(WORKER, {})),
    )


def _curve(frozen: FrozenTrial) -> dict[int, float]:
    curve = frozen.user_attrs.get(CURVE, frozen.intermediate_values)
    return {int(epoch): curve[epoch] for epoch in sorted(curve, key=int)}


def read_trials(study: optuna.Study, *, with_imported: bool = False) -> list[Trial]:
    """All trials of a study by number; imported ones only where they are asked for."""
    frozen = study.get_trials(deepcopy=False)
    return [to_trial(trial) for trial in frozen if with_imported or not is_imported(trial)]


def count(study: optuna.Study) -> Counts:
    """How the study stands; cheap, because finished trials are read from the storage once."""
    numbers = dict.fromkeys(Counts.__dataclass_fields__, 0)
    for frozen in study.get_trials(deepcopy=False):
        if not is_imported(frozen):
            numbers[state_of(frozen)] += 1
    return Counts(**numbers)


def num_finished(trials: Iterable[Trial]) -> int:
    """Trials that count towards a stage's total."""
    return sum(trial.state in FINISHED and trial.origin != IMPORTED for trial in trials)


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def mark_infeasible(
    study: optuna.Study,
    trial: optuna.Trial | FrozenTrial,
    reason: str,
    *,
    constraint: str,
    violation: float = 1.0,
) -> bool:
    """End it as refused by a constraint, which samplers learn to avoid.

    Like the other two it says whether it was this call that ended the trial.
    """
    from optuna.trial import TrialState

    attributes = {STATE: "infeasible", REASON: reason}
    # what `Trial.set_constraint` writes; a frozen trial of another process has no such method
    system = {f"constraints:{constraint}": float(violation)}
    return _end(study, trial, TrialState.PRUNED, attributes, system)


def mark_failed(study: optuna.Study, trial: optuna.Trial | FrozenTrial, reason: str) -> bool:
    """End it as failed: recorded with its reason, not run again."""
    from optuna.trial import TrialState

    return _end(study, trial, TrialState.FAIL, {STATE: "failed", REASON: reason})


def mark_lost(
    study: optuna.Study,
    trial: optuna.Trial | FrozenTrial,
    reason: str,
    *,
    max_retries: int,
    died: bool = True,
    again: bool = True,
) -> bool:
    """End it as lost and queue its configuration again, with the epochs it has reported.

    died=False: it was stopped in good order, which is no strike against it. again=False: it is
    not needed any more. After more than `max_retries` deaths it is recorded as failed.
    """
    from optuna.trial import TrialState

    from .stored_study import trial_in_storage

    storage, trial_id = trial_in_storage(study, trial.number)
    frozen = storage.get_trial(trial_id)
    retries = int(frozen.user_attrs.get(RETRIES, 0)) + died
    if again and retries > max_retries:
        return mark_failed(
            study,
            trial,
            f"its process died {retries} times (last: {reason}); "
            f"guards.max_retries={max_retries} allows no further run",
        )
    attributes = {STATE: "lost", REASON: reason, **({AGAIN: retries} if again else {})}
    ended = _end(study, trial, TrialState.FAIL, attributes)
    if ended and again:
        queue_again(study, frozen, retries=retries)
    return ended


def queue_again(study: optuna.Study, frozen: FrozenTrial, *, retries: int) -> None:
    """A waiting trial with the same parameters, curve and root."""
    from optuna.trial import TrialState, create_trial

    attributes = {
        **({CURVE: frozen.user_attrs[CURVE]} if CURVE in frozen.user_attrs else {}),
        ORIGIN: RETRIED,
        ROOT: root_number(frozen),
        PREVIOUS: frozen.number,
        RETRIES: retries,
    }
    system = {
        key: value
        for key, value in frozen.system_attrs.items()
        if not key.startswith("constraints")
    }
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params=frozen.params,
            distributions=frozen.distributions,
            user_attrs=attributes,
            system_attrs=system,
            intermediate_values=frozen.intermediate_values,
        )
    )


def _end(
    study: optuna.Study,
    trial: optuna.Trial | FrozenTrial,
    state: Any,
    attributes: Mapping[str, Any],
    system: Mapping[str, Any] | None = None,
) -> bool:
    from optuna.exceptions import UpdateFinishedTrialError

    from .stored_study import trial_in_storage

    storage, trial_id = trial_in_storage(study, trial.number)
    try:
        for key, value in attributes.items():
            storage.set_trial_user_attr(trial_id, key, value)
        for key, value in (system or {}).items():
            storage.set_trial_system_attr(trial_id, key, value)
        return bool(storage.set_trial_state_values(trial_id, state))
    except UpdateFinishedTrialError:
        return False


def closing_reason(study: optuna.Study) -> str:
    """Non-empty: finish what is under way and ask for nothing new. Read before every trial."""
    return str(study.user_attrs.get(CLOSING, ""))


def set_closing(study: optuna.Study, reason: str) -> None:
    """Ask all workers, wherever they run, to begin no new trial; an empty reason opens it again."""
    if closing_reason(study) != reason:
        study.set_user_attr(CLOSING, reason)
