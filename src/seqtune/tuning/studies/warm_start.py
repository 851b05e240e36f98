"""Import the trials of another study that fits this space.

They become complete trials of origin `imported`. The sampler learns from them; no total, no best
value and no table of results counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from seqtune.core.errors import ArtifactError, TuningError, did_you_mean
from seqtune.core.format import end_sentence

from ..plan import StudyPlan
from .records import IMPORTED, ORIGIN, SOURCE, is_imported, own_trials
from .storage import as_template, quiet_optuna
from .storage_errors import check_file, damaged, explained
from .storage_url import StorageUrl
from .study import load_study

FILES = (".db", ".sqlite", ".sqlite3", ".log")
"""Suffixes of study files; anything else is the name of a study."""


def warm_start(study: optuna.Study, plan: StudyPlan, ref: StorageUrl) -> str:
    """Import the trials of the study that the plan names, and return a note; empty if none.

    A study of the same storage by its name, or a study file by its path. Trials imported by an
    earlier session are skipped.
    """
    if plan.warm_start is None or plan.warm_start == study.study_name:
        return ""
    file = Path(plan.warm_start)
    source = read_foreign(file) if file.suffix in FILES else load_study(ref, plan.warm_start)
    trials = own_trials(source.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
    usable = [
        (trial, params) for trial in trials if (params := _usable_params(trial, plan)) is not None
    ]
    theirs = {key: one for trial in trials for key, one in trial.distributions.items()}
    faults = _faults(source, theirs, plan)
    if not faults and not usable:
        reason = f"none of its {len(trials)} complete trials lies within this space"
        reason = reason if trials else "it has no complete trial"
        faults = [reason, *_range_notes(theirs, plan)]
    if faults:
        raise TuningError(
            f"warm_start={plan.warm_start!r} does not fit here: {end_sentence('; '.join(faults))} "
            "Name a study that fits, or set warm_start to null"
        )
    _adopt(study, source.study_name, usable, plan)
    left = len(trials) - len(usable)
    note = f"; {left} of {len(trials)} complete trials lie outside" if left else ""
    return f"learning from {source.study_name}: {len(usable)} trials{note}"


def read_foreign(file: Path) -> optuna.Study:
    """Read the study in a file of seqtune or of Optuna. The file is not changed."""
    if not file.exists():
        raise ArtifactError(f"there is no study file {file}")
    if file.suffix == ".log":
        return _read_journal(file)
    check_file(file)
    url = f"sqlite:///{file.absolute().as_uri()}?mode=ro&uri=true"
    with explained(StorageUrl(f"sqlite:///{file}")), quiet_optuna():
        storage = RDBStorage(as_template(url), skip_table_creation=True)
        return _load(storage, file)


def _read_journal(file: Path) -> optuna.Study:
    with quiet_optuna():
        try:
            storage = JournalStorage(JournalFileBackend(str(file)))
        except (ValueError, KeyError) as error:  # ValueError: not JSON
            raise damaged(file, "it is not a journal of Optuna") from error
        return _load(storage, file)


def _load(storage: BaseStorage, file: Path) -> optuna.Study:
    known = sorted(frozen.study_name for frozen in storage.get_all_studies())
    if not known:
        raise ArtifactError(f"{file} holds no study")
    if len(known) > 1:
        raise ArtifactError(
            f"{file} holds several studies ({', '.join(known)}); copy the one you mean to a file "
            "of its own (optuna.copy_study)"
        )
    return optuna.load_study(study_name=known[0], storage=storage)


def _usable_params(trial: FrozenTrial, plan: StudyPlan) -> dict[str, Any] | None:
    """Return its values of the parameters searched here; None if it lies outside this study."""
    if any(plan.fixed.get(key, value) != value for key, value in trial.params.items()):
        return None
    params = {key: value for key, value in trial.params.items() if key not in plan.fixed}
    return params if plan.space.contains(params) else None


def _faults(
    source: optuna.Study, theirs: Mapping[str, BaseDistribution], plan: StudyPlan
) -> list[str]:
    """List the directions, names and types that differ."""
    faults = []
    given, wanted = [one.name.lower() for one in source.directions], plan.scoring.directions
    if given != list(wanted):
        faults.append(f"directions: it has {', '.join(given)}; this study has {', '.join(wanted)}")
    if not theirs:
        return faults
    own = plan.space.keys
    unknown = [key for key in sorted(theirs) if key not in own and key not in plan.fixed]
    missing = [p.key for p in plan.space.parameters if p.key not in theirs and not p.when]
    faults += [f"{key}: searched there, not here; {did_you_mean(key, own)}" for key in unknown]
    faults += [f"{key}: searched here, not there" for key in missing]
    kinds = {key: (_kind(theirs[key]), plan.space[key].kind) for key in own if key in theirs}
    faults += [f"{key}: {a} there, {b} here" for key, (a, b) in kinds.items() if a != b]
    return faults


def _kind(distribution: BaseDistribution) -> str:
    return type(distribution).__name__.removesuffix("Distribution").lower()


def _range_notes(theirs: Mapping[str, BaseDistribution], plan: StudyPlan) -> list[str]:
    """List ranges and choices that differ. Not faults: single trials may lie within."""
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


def _adopt(
    study: optuna.Study,
    source: str,
    usable: Sequence[tuple[FrozenTrial, dict[str, Any]]],
    plan: StudyPlan,
) -> None:
    """Copy trials, each once, without curves: pruners cannot compare other numbers of epochs."""
    taken = {
        tuple(trial.user_attrs[SOURCE])
        for trial in study.get_trials(deepcopy=False)
        if is_imported(trial)
    }
    for trial, params in usable:
        if (source, trial.number) in taken:
            continue
        active = plan.space.active(params)
        study.add_trial(
            create_trial(
                values=list(trial.values or ()),
                params={one.key: one.canonical(params[one.key]) for one in active},
                distributions={one.key: one.distribution() for one in active},
                user_attrs={ORIGIN: IMPORTED, SOURCE: [source, trial.number]},
            )
        )
