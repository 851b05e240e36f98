"""The same sequence of finished trials, whatever was killed or stopped in between."""

from __future__ import annotations

import optuna
import pytest
from toy_scripts import (
    CONDITIONAL,
    Killed,
    brief,
    finished,
    interrupted_search,
    raises,
    search,
    states,
)
from toy_studies import toy_plan

from seqtune.core.errors import (
    Interrupted,
)
from seqtune.core.trials import Value
from seqtune.tuning.config import SamplerConfig
from seqtune.tuning.spaces.space import Parameter
from seqtune.tuning.studies.storage_url import StorageUrl
from seqtune.tuning.studies.stored_study import StoredStudy


@pytest.mark.parametrize(
    "kind",
    [
        *("tpe", "cmaes", "nsga2"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("random", "sobol", "grid")),
    ],
)
def test_kills_and_stops_leave_no_trace_in_the_sequence(sqlite: StorageUrl, kind: str) -> None:
    plan = toy_plan(
        CONDITIONAL,
        total=12,
        sampler=SamplerConfig(kind=kind, startup_trials=3, grid_points=3),  # type: ignore[arg-type]
    )
    whole = finished(search(sqlite, plan, brief)[1])
    acts = {
        2: raises(Killed()),
        7: raises(Interrupted("stop", signal_number=15)),
        8: raises(Killed()),
        13: raises(Killed()),
    }
    again = StorageUrl(sqlite.url.replace("studies.db", "again.db"), grace_seconds=1)
    trials = interrupted_search(again, plan, acts, stops=(Killed, Interrupted))
    assert states(trials).count("lost") == 4
    assert finished(trials) == whole


@pytest.mark.parametrize("kind", [pytest.param("tpe", marks=pytest.mark.slow), "nsga2"])
def test_a_process_that_dies_between_two_values_leaves_no_trace_either(
    sqlite: StorageUrl, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = SamplerConfig(kind=kind, startup_trials=3)  # type: ignore[arg-type]
    plan = toy_plan(CONDITIONAL, total=8, sampler=sampler)
    whole = finished(search(sqlite, plan, brief)[1])
    suggest, calls = Parameter.suggest, []

    def dies(parameter: Parameter, trial: optuna.Trial) -> Value:
        if not isinstance(trial.study, StoredStudy):
            return suggest(parameter, trial)  # a model's own study
        calls.append(parameter.key)
        if len(calls) in (3, 25):
            raise Killed
        return suggest(parameter, trial)

    monkeypatch.setattr(Parameter, "suggest", dies)
    again = StorageUrl(sqlite.url.replace("studies.db", "again.db"), grace_seconds=1)
    trials = interrupted_search(again, plan, {}, stops=(Killed,))
    assert states(trials).count("lost") == 2
    assert finished(trials) == whole
