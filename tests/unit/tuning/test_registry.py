"""A sampler and a pruner from elsewhere: registered, they are searched with like any other."""

from __future__ import annotations

import pytest
from toy_scripts import search
from toy_studies import toy_plan

from seqtune.core.errors import ConfigurationError
from seqtune.core.resolve import Layer, resolve
from seqtune.tuning.analysis.importance import importance
from seqtune.tuning.config import PrunerConfig, SamplerConfig, TuningConfig
from seqtune.tuning.sampling.chosen_sampler import at_point
from seqtune.tuning.sampling.entries import PruningRule, Sampler, SamplerContext
from seqtune.tuning.sampling.pruners import Case
from seqtune.tuning.sampling.registry import PRUNERS, SAMPLERS
from seqtune.tuning.studies.storage_url import StorageUrl


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    def middle(context: SamplerContext):
        return at_point(context, (0.5 + 0.02 * context.rank,) * len(context.space.parameters))

    def below_zero(case: Case) -> str:
        return "below 0" if case.best(case.curve.values()) < 0 else ""

    sampler = Sampler(middle, "tests", is_model_based=True)
    monkeypatch.setitem(SAMPLERS.entries, "toy", sampler)
    monkeypatch.setitem(PRUNERS.entries, "toy", PruningRule(below_zero, "its score is below 0"))


def test_a_toy_sampler_and_a_toy_pruner_search_a_quadratic(sqlite: StorageUrl) -> None:
    plan = toy_plan(
        total=4,
        sampler=SamplerConfig(kind="toy"),
        pruner=PrunerConfig(kind="toy", warmup_epochs=1),
    )
    _, trials = search(sqlite, plan)
    assert [trial.params["x"] for trial in trials] == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert {(trial.state, trial.reason) for trial in trials} == {("pruned", "epoch 2: below 0")}
    assert "proposed by toy" in importance(trials, plan.space, mode="max", sampler="toy").note


def test_every_file_of_the_package_is_an_entry() -> None:
    for registry in (SAMPLERS, PRUNERS):
        assert all(registry[name].summary for name in registry.names())
    assert {"tpe", "gp", "cmaes", "random", "sobol", "grid", "nsga2"} < set(SAMPLERS.names())


def test_a_wrong_name_is_answered_with_all_that_may_be_written() -> None:
    written = {"sampler": {"kind": "sobel"}, "pruner": {"kind": "x"}}
    with pytest.raises(ConfigurationError) as caught:
        resolve(TuningConfig, Layer("conf", written), root="tuning")
    sampler, pruner = caught.value.faults
    allowed = "auto, cmaes, gp, grid, nsga2, random, sobol, toy, tpe"
    assert f"no such sampler, allowed: {allowed}; did you mean 'sobol'?" in sampler
    assert "no such pruner, allowed: auto, none, halving, hyperband, median" in pruner
