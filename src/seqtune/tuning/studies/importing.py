"""Trials measured elsewhere: whether another study fits this space, and learning from it.

Imported trials are complete trials of origin `imported`. The sampler learns from them; no total,
no best value and no table of results counts them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.contracts.errors import ArtifactError, TuningError, did_you_mean

from ..plan import StudyPlan
from ..spaces.space import Parameter
from .faults import check_file, damaged, explained
from .records import IMPORTED, ORIGIN, SOURCE, is_imported
from .storage import StorageRef, quiet_optuna
from .study import load_study, open_study

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)


FILES = (".db", ".sqlite", ".sqlite3", ".log")
"""Endings of what is a study file, and not the name of a study."""


@dataclass(frozen=True)
class ImportAnswer:
    """Whether trials of another study can be learnt from here."""

    source: str
    fits: bool
    reasons: tuple[str, ...]
    """What does not fit, named; for a study that fits, what is left out and why."""
    num_trials: int
    """Complete trials that lie within the space, and were taken over if it fits."""

    def __str__(self) -> str:
        verdict = f"fits: {self.num_trials} trials" if self.fits else "does not fit"
        return "\n  ".join([f"study {self.source} {verdict}", *self.reasons])


def import_study(
    file: Path, *, plan: StudyPlan, ref: StorageRef, study_name: str | None = None
) -> ImportAnswer:
    """Copy what fits of an Optuna study (SQLite file or journal) into the study of this plan.

    `study_name` is needed where the file holds several. Nothing is copied if it does not fit.
    """
    source = read_foreign(file, study_name=study_name)
    answer = compare(source, plan)
    if answer.fits:
        adopt(open_study(ref, plan).study, source, plan)
    return answer


def warm_start(study: optuna.Study, plan: StudyPlan, ref: StorageRef) -> ImportAnswer | None:
    """Take over the trials of the study that the plan names; None if it names none.

    A study of the same storage by its name, or a study file by its path.
    Trials that were taken over in an earlier session are not taken twice.
    """
    if plan.warm_start is None or plan.warm_start == study.study_name:
        return None
    file = Path(plan.warm_start)
    source = read_foreign(file) if file.suffix in FILES else load_study(ref, plan.warm_start)
    answer = compare(source, plan)
    if not answer.fits:
        raise TuningError(
            f"warm_start={plan.warm_start!r} cannot be learnt from here: "
            f"{'; '.join(answer.reasons)}. Name a study that fits, or set warm_start to null"
        )
    adopt(study, source, plan)
    return answer


# ---- reading ------------------------------------------------------------------------------------


def read_foreign(file: Path, *, study_name: str | None = None) -> optuna.Study:
    """The study in a file that seqtune need not have written. The file is not changed."""
    if not file.exists():
        raise ArtifactError(f"there is no study file {file}")
    if file.suffix == ".log":
        return _read_journal(file, study_name)
    check_file(file)
    return _read_sqlite(file, study_name)


def _read_sqlite(file: Path, study_name: str | None) -> optuna.Study:
    from optuna.storages import RDBStorage

    url = f"sqlite:///{file.absolute().as_uri()}?mode=ro&uri=true"
    with explained(StorageRef(f"sqlite:///{file}")), quiet_optuna():
        storage = RDBStorage(url.replace("{", "{{").replace("}", "}}"), skip_table_creation=True)
        return _load(storage, study_name, file)


def _read_journal(file: Path, study_name: str | None) -> optuna.Study:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with quiet_optuna():
        try:
            storage = JournalStorage(JournalFileBackend(str(file)))
        except (ValueError, KeyError) as error:  # ValueError: not JSON
            raise damaged(file, "it is no journal of Optuna") from error
        return _load(storage, study_name, file)


def _load(storage: BaseStorage, study_name: str | None, file: Path) -> optuna.Study:
    import optuna

    known = sorted(frozen.study_name for frozen in storage.get_all_studies())
    return optuna.load_study(study_name=_the_one(known, study_name, file), storage=storage)


def _the_one(known: Sequence[str], wanted: str | None, file: Path) -> str:
    if not known:
        raise ArtifactError(f"{file} holds no study")
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted in known:
        return str(wanted)
    if wanted is None:
        raise ArtifactError(f"say which study of {file} is meant; it has: {', '.join(known)}")
    raise ArtifactError(f"{file} holds no study {wanted!r}; {did_you_mean(wanted, known)}")


# ---- comparing ----------------------------------------------------------------------------------


def compare(source: optuna.Study, plan: StudyPlan) -> ImportAnswer:
    """Whether names, types and directions agree, and how many trials lie within the ranges."""
    trials = _complete(source)
    theirs: dict[str, BaseDistribution] = {}
    for trial in trials:
        theirs |= trial.distributions
    faults = [*_direction_faults(source, plan), *_name_faults(theirs, plan)]
    faults += _kind_faults(theirs, plan)
    usable = [trial for trial in trials if _usable_params(trial, plan) is not None]
    if not faults and not usable:
        faults = [_nothing(trials), *_range_notes(theirs, plan)]
    notes = [] if faults else [*_range_notes(theirs, plan), *_left_out(trials, usable)]
    return ImportAnswer(
        source=source.study_name,
        fits=not faults,
        reasons=tuple(faults or notes),
        num_trials=0 if faults else len(usable),
    )


def _nothing(trials: Sequence[FrozenTrial]) -> str:
    if not trials:
        return "it has no complete trial"
    return f"none of its {len(trials)} complete trials lies within this space"


def _complete(source: optuna.Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    trials = source.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in trials if not is_imported(trial)]


def _direction_faults(source: optuna.Study, plan: StudyPlan) -> list[str]:
    theirs = [direction.name.lower() for direction in source.directions]
    ours = list(plan.scoring.directions)
    if theirs == ours:
        return []
    return [f"directions: it has {', '.join(theirs)}; this study has {', '.join(ours)}"]


def _name_faults(theirs: Mapping[str, Any], plan: StudyPlan) -> list[str]:
    if not theirs:
        return []
    ours = plan.space.keys
    unknown = [key for key in sorted(theirs) if key not in ours and key not in plan.fixed]
    missing = [
        parameter.key
        for parameter in plan.space.parameters
        if parameter.key not in theirs and not parameter.when
    ]
    return [
        *(f"{key}: searched there, not here; {did_you_mean(key, ours)}" for key in unknown),
        *(f"{key}: searched here, not there" for key in missing),
    ]


def _kind_faults(theirs: Mapping[str, BaseDistribution], plan: StudyPlan) -> list[str]:
    return [
        f"{key}: {_kind(theirs[key])} there, {plan.space[key].kind} here"
        for key in plan.space.keys
        if key in theirs and _kind(theirs[key]) != plan.space[key].kind
    ]


def _kind(distribution: BaseDistribution) -> str:
    return type(distribution).__name__.removesuffix("Distribution").lower()


def _range_notes(theirs: Mapping[str, BaseDistribution], plan: StudyPlan) -> list[str]:
    """Ranges and choices that differ, which is no fault: single trials may lie within."""
    return [
        f"{key}: {_described(theirs[key])} there, {plan.space[key].describe()} here"
        for key in plan.space.keys
        if key in theirs and _extent(theirs[key]) != _extent(plan.space[key].distribution())
    ]


def _extent(distribution: Any) -> Any:
    if hasattr(distribution, "choices"):
        return sorted(map(repr, distribution.choices))
    return distribution.low, distribution.high


def _described(distribution: Any) -> str:
    if hasattr(distribution, "choices"):
        return f"one of {', '.join(map(repr, distribution.choices))}"
    return f"[{distribution.low}, {distribution.high}]"


def _left_out(trials: Sequence[FrozenTrial], usable: Sequence[FrozenTrial]) -> list[str]:
    num_left = len(trials) - len(usable)
    return [f"{num_left} of {len(trials)} complete trials lie outside"] if num_left else []


def _usable_params(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any] | None:
    """Its values of what is searched here; None where it lies outside this study."""
    fixed = {key: value for key, value in trial.params.items() if key in plan.fixed}
    if any(plan.fixed[key] != value for key, value in fixed.items()):
        return None
    params = {key: value for key, value in trial.params.items() if key not in plan.fixed}
    return params if plan.space.contains(params) else None


# ---- taking over --------------------------------------------------------------------------------


def adopt(study: optuna.Study, source: optuna.Study, plan: StudyPlan) -> int:
    """Copy the trials that lie within the space, but none twice; how many were new.

    Their curves stay behind: they may be of another number of epochs, and pruners compare.
    """
    taken = {
        tuple(trial.user_attrs[SOURCE])
        for trial in study.get_trials(deepcopy=False)
        if is_imported(trial)
    }
    num_new = 0
    for trial in _complete(source):
        params = _usable_params(trial, plan)
        if params is None or (source.study_name, trial.number) in taken:
            continue
        _add(study, trial, plan.space.active(params), params, source.study_name)
        num_new += 1
    return num_new


def _add(
    study: optuna.Study,
    trial: FrozenTrial,
    active: Sequence[Parameter],
    params: Mapping[str, Any],
    source: str,
) -> None:
    from optuna.trial import create_trial

    study.add_trial(
        create_trial(
            values=list(trial.values or ()),
            params={one.key: one.canonical(params[one.key]) for one in active},
            distributions={one.key: one.distribution() for one in active},
            user_attrs={ORIGIN: IMPORTED, SOURCE: [source, trial.number]},
        )
    )
