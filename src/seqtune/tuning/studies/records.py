"""Record trials in a study: attributes, their meaning, and trials as plain values.

An attribute marks the states that Optuna does not have: an infeasible trial is a pruned one with
a constraint (samplers learn from it), a lost trial is a failed one that runs again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from seqtune.core.execution import Process
from seqtune.core.trials import State, Trial

from ..objectives.scoring import Score
from .processes import worker_name
from .stored_study import trial_in_storage

AnyTrial = optuna.Trial | FrozenTrial

# Attributes of a study.
IDENTITY = "identity"
"""`StudyPlan.identity()`, whose fingerprint is in the name of the study."""
TASK, STAGE, CREATED = "task", "stage", "created"
CLOSING = "closing"
"""The reason why no worker asks for a new trial; empty while the study is open."""

# Attributes of a trial.
STATE = "state"
"""infeasible, lost or failed, which Optuna's own state does not distinguish."""
REASON = "reason"
WORKER = "worker"
"""`worker_identity()` of the process that runs the trial; set right after `ask`."""
ORIGIN = "origin"
"""queued, retried or imported; absent: sampled."""
METRICS = "metrics"
"""Everything measured at the best epoch."""
SCORE = "score"
"""The score; needed for pruned trials (best so far) and several objectives."""
CURVE = "curve"
"""The curve of a trial with several objectives, which Optuna does not store."""
GOALS = "goals"
"""By epoch, all objectives at the best epoch so far, turned so that more is better."""
ROOT = "root"
"""Number of the first trial that this one repeats."""
PREVIOUS = "previous"
"""Number of the lost trial that this one replaces."""
RETRIES = "retries"
"""How often its process has died; an orderly stop does not count."""
AGAIN = "again"
"""Of a lost trial that runs again: RETRIES of its replacement."""
RESUMED = "resumed"
"""Of a trial that resumed training where another one ended: {trial, epoch}."""
SOURCE = "source"
"""Imported trials: the study they come from."""

QUEUED, RETRIED, IMPORTED = "queued", "retried", "imported"


@dataclass(frozen=True)
class Counts:
    """Number of trials by state, without imported ones."""

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
    """Return the state, with those that Optuna does not have."""
    name = frozen.state.name
    if name == "PRUNED":
        return "infeasible" if frozen.user_attrs.get(STATE) == "infeasible" else "pruned"
    if name == "FAIL":
        return "lost" if frozen.user_attrs.get(STATE) == "lost" else "failed"
    return {"COMPLETE": "complete", "RUNNING": "running", "WAITING": "waiting"}[name]  # type: ignore[return-value]


def is_imported(frozen: FrozenTrial) -> bool:
    """Whether it was measured elsewhere: samplers learn from it, no total counts it."""
    return frozen.user_attrs.get(ORIGIN) == IMPORTED


def own_trials(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Drop imported trials."""
    return [one for one in trials if not is_imported(one)]


def root_number(frozen: AnyTrial) -> int:
    """Return the number of its first run, which names its folder in every later run."""
    return int(frozen.user_attrs.get(ROOT, frozen.number))


def process_of(frozen: FrozenTrial) -> Process | None:
    """Return the process that runs or ran it; None before a worker has claimed it."""
    worker = frozen.user_attrs.get(WORKER)
    return Process(int(worker["pid"]), str(worker["host"])) if worker else None


def to_trial(frozen: FrozenTrial) -> Trial:
    """Convert Optuna's trial to a plain value."""
    attributes, start = frozen.user_attrs, frozen.datetime_start
    resumed = attributes.get(RESUMED, {})
    values = tuple(frozen.values or ())
    return Trial(
        number=frozen.number,
        state=state_of(frozen),
        params={**frozen.system_attrs.get("fixed_params", {}), **frozen.params},
        score=attributes.get(SCORE, values[0] if len(values) == 1 else None),
        values=values,
        metrics=attributes.get(METRICS, {}),
        curve=curve_of(frozen),
        reason=attributes.get(REASON, ""),
        origin=attributes.get(ORIGIN, "sampled"),
        started=start.astimezone(UTC).isoformat(timespec="seconds") if start else None,
        seconds=frozen.duration.total_seconds() if frozen.duration is not None else None,
        worker=worker_name(attributes.get(WORKER, {})),
        resumed_from=resumed.get("trial", ""),
        resumed_epoch=resumed.get("epoch", 0),
    )


def curve_of(frozen: FrozenTrial) -> dict[int, float]:
    """Return the reported values by epoch."""
    curve = frozen.user_attrs.get(CURVE, frozen.intermediate_values)
    return {int(epoch): curve[epoch] for epoch in sorted(curve, key=int)}


def read_trials(study: optuna.Study, *, with_imported: bool = False) -> list[Trial]:
    """Return all trials of a study by number, imported ones only on request."""
    frozen = study.get_trials(deepcopy=False)
    return [to_trial(one) for one in (frozen if with_imported else own_trials(frozen))]


def count(study: optuna.Study) -> Counts:
    """Count trials by state; cheap, because the storage caches finished trials."""
    numbers: Counter[str] = Counter(map(state_of, own_trials(study.get_trials(deepcopy=False))))
    return Counts(**numbers)


def record_result(
    trial: optuna.Trial, metrics: Mapping[str, float], score: Score, *, pruned: str
) -> bool:
    """End it with its score, or as pruned for this reason; False if it had already ended."""
    try:
        trial.set_user_attr(METRICS, {name: float(value) for name, value in metrics.items()})
        trial.set_user_attr(SCORE, score.score)
        if pruned:
            trial.set_user_attr(REASON, pruned)
            trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            trial.study.tell(trial, list(score.values), skip_if_finished=True)
    except UpdateFinishedTrialError:
        return False
    return True


def mark_infeasible(
    study: optuna.Study, trial: AnyTrial, reason: str, *, constraint: str, violation: float = 1.0
) -> bool:
    """End it as refused by a constraint, which samplers learn to avoid.

    Each `mark_` function returns whether this call ended the trial.
    """
    attributes = {STATE: "infeasible", REASON: reason}
    # as `Trial.set_constraint` writes it, which a frozen trial of another process does not have
    system = {f"constraints:{constraint}": float(violation)}
    return _end(study, trial, TrialState.PRUNED, attributes, system)


def mark_failed(study: optuna.Study, trial: AnyTrial, reason: str) -> bool:
    """End it as failed: recorded with its reason, not run again."""
    return _end(study, trial, TrialState.FAIL, {STATE: "failed", REASON: reason})


def mark_lost(
    study: optuna.Study,
    trial: AnyTrial,
    reason: str,
    *,
    max_retries: int,
    died: bool = True,
    again: bool = True,
) -> bool:
    """End it as lost and queue its configuration again, with the epochs it has reported.

    died=False: an orderly stop, which does not count as a retry. again=False: it is no longer
    needed. After more than `max_retries` deaths it fails.
    """
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
    """Add a waiting trial with the same parameters, curve and root."""
    attributes = {
        **{
            key: frozen.user_attrs[key]
            for key in (CURVE, GOALS, RESUMED)
            if key in frozen.user_attrs
        },
        ORIGIN: RETRIED,
        ROOT: root_number(frozen),
        PREVIOUS: frozen.number,
        RETRIES: retries,
    }
    system = {k: v for k, v in frozen.system_attrs.items() if not k.startswith("constraints")}
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
    trial: AnyTrial,
    state: TrialState,
    attributes: Mapping[str, Any],
    system: Mapping[str, Any] | None = None,
) -> bool:
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
    """Return why no new trial may begin; empty if one may. Read before every trial."""
    return str(study.user_attrs.get(CLOSING, ""))


def set_closing(study: optuna.Study, reason: str) -> None:
    """Ask all workers to begin no new trial; an empty reason opens the study again."""
    if closing_reason(study) != reason:
        study.set_user_attr(CLOSING, reason)
