"""Every sampler against toys: same turn, same configuration; and what models learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from seqtune.core.errors import ConfigurationError
from seqtune.core.trials import Params
from seqtune.tuning.config import SamplerConfig
from seqtune.tuning.sampling.in_memory_study import known_trials, with_constraint
from seqtune.tuning.sampling.registry import SAMPLERS
from seqtune.tuning.sampling.samplers import build_sampler, check_sampler
from seqtune.tuning.sampling.samplers.cmaes import _coordinate, evolved
from seqtune.tuning.sampling.samplers.grid import MAX_CELLS, grid, grid_cells, grid_values
from seqtune.tuning.sampling.samplers.nsga2 import population_size
from seqtune.tuning.sampling.samplers.sobol import sobol_point
from seqtune.tuning.spaces.space import Parameter, Space, parse_space

SPACE = parse_space(
    {
        "kind": {"type": "categorical", "choices": ["a", "b"]},
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "depth": {"type": "int", "low": 1, "high": 6},
        "gamma": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
        "x": {"type": "float", "low": -1.0, "high": 1.0},
    },
    root="toy",
)
PLANE = parse_space(
    {
        "x": {"type": "float", "low": -5.0, "high": 5.0},
        "y": {"type": "float", "low": -5.0, "high": 5.0},
    },
    root="plane",
)
KINDS = ("random", "sobol", "grid", "tpe", "cmaes", "nsga2")
Score = Callable[[Params], float]


def config(kind: str, **changes: Any) -> SamplerConfig:
    return SamplerConfig(**{"kind": kind, "startup_trials": 4, **changes})


def number(params: Params, key: str) -> float:
    return float(str(params[key]))


def bowl(params: Params) -> float:
    return (number(params, "x") - 2.0) ** 2 + (number(params, "y") + 1.0) ** 2


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def new_study(**options: Any) -> optuna.Study:
    return optuna.create_study(pruner=optuna.pruners.NopPruner(), **options)


def ask(
    study: optuna.Study, settings: SamplerConfig, space: Space = SPACE, **changes: Any
) -> tuple[optuna.Trial, Params]:
    trial = study.ask()
    options = {"seed": 7, "stage": "quick", "rank": trial.number, "total": 40, **changes}
    study.sampler = build_sampler(settings, space=space, **options)
    _ = trial.relative_params
    return trial, space.suggest(trial)


def run(
    study: optuna.Study, settings: SamplerConfig, score: Score, *, number: int, space: Space = SPACE
) -> list[Params]:
    asked = []
    for _ in range(number):
        trial, params = ask(study, settings, space)
        study.tell(trial, score(params))
        asked.append(params)
    return asked


# ---- all kinds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_proposals_lie_in_the_space_and_repeat_with_the_seed(kind: str) -> None:
    def score(params: Params) -> float:
        return abs(number(params, "x"))

    first = run(new_study(), config(kind), score, number=12)
    assert all(SPACE.contains(params) for params in first)
    assert run(new_study(), config(kind), score, number=12) == first
    assert len({tuple(params.items()) for params in first}) == 12


@pytest.mark.parametrize("kind", ["random", "sobol", "tpe", "cmaes", "nsga2"])
def test_another_seed_gives_other_proposals(kind: str) -> None:
    one = ask(new_study(), config(kind))[1]
    assert ask(new_study(), config(kind), seed=8)[1] != one


@pytest.mark.parametrize("kind", ["tpe", "cmaes"])
def test_a_model_finds_a_minimum_that_chance_does_not(kind: str) -> None:
    def best(kind: str) -> float:
        asked = run(new_study(), config(kind), bowl, number=40, space=PLANE)
        return min(bowl(params) for params in asked)

    assert best(kind) < 0.2 * best("random")


@pytest.mark.parametrize("kind", ["random", "sobol", "tpe"])
def test_what_a_queued_value_brings_into_being_is_drawn_too(kind: str) -> None:
    study = new_study()
    for rank in range(6):
        study.enqueue_trial({"kind": "b" if rank % 2 else "a"})
    asked = [ask(study, config(kind))[1] for _ in range(6)]
    assert all(SPACE.contains(params) for params in asked)
    assert [params["kind"] for params in asked] == ["a", "b"] * 3


def test_an_unsettled_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'auto' is settled before a search begins"):
        ask(new_study(), config("auto"))


# ---- sequences and grids ------------------------------------------------------------------------


def test_sobol_points_fill_every_half_quarter_and_eighth() -> None:
    points = [sobol_point(index, num_dimensions=3, seed=1) for index in range(8)]
    for axis in range(3):
        assert sorted(int(8 * point[axis]) for point in points) == list(range(8))
    assert sobol_point(0, num_dimensions=0, seed=1) == ()


def test_models_begin_with_the_points_of_the_sobol_sequence() -> None:
    def score(params: Params) -> float:
        return number(params, "x")

    filled = run(new_study(), config("sobol"), score, number=6)
    for kind in ("tpe", "cmaes"):
        asked = run(new_study(), config(kind), score, number=6)
        assert asked[:4] == filled[:4]
        assert asked[4:] != filled[4:]


def test_a_grid_tries_every_cell_once_in_an_order_of_its_own() -> None:
    space = parse_space(
        {
            "kind": {"type": "categorical", "choices": ["a", "b"]},
            "gamma": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
            "depth": {"type": "int", "low": 1, "high": 2},
        },
        root="toy",
    )
    settings = config("grid", grid_points=3)
    cells = grid(space, points=3)
    assert SAMPLERS["grid"].num_configurations(settings, space) == len(cells) == 2 * (1 + 3)
    asked = run(new_study(), settings, lambda _: 0.0, number=8, space=space)
    assert asked != cells
    assert sorted(map(str, asked)) == sorted(map(str, cells))
    assert grid_cells(settings, space, seed=8) != grid_cells(settings, space, seed=7)
    assert SAMPLERS["tpe"].num_configurations(config("tpe"), space) is None


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (Parameter("p", "categorical", choices=(1, 2)), (1, 2)),
        (Parameter("p", "float", low=0.0, high=1.0), (0.0, 0.5, 1.0)),
        (Parameter("p", "float", low=0.0, high=0.5, step=0.1), (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        (Parameter("p", "float", low=0.01, high=1.0, log=True), (0.01, 0.1, 1.0)),
        (Parameter("p", "int", low=1, high=3), (1, 2, 3)),
        (Parameter("p", "int", low=1, high=3, log=True), (1, 2, 3)),
        (Parameter("p", "int", low=1, high=100, log=True), (1, 10, 100)),
        (Parameter("p", "int", low=0, high=12, step=4), (0, 4, 8, 12)),
        (Parameter("p", "int", low=0, high=100), (0, 50, 100)),
    ],
)
def test_the_values_of_a_grid(parameter: Parameter, values: tuple[Any, ...]) -> None:
    assert grid_values(parameter, points=3) == pytest.approx(values)


def test_a_huge_grid_is_refused() -> None:
    values = {f"p{i}": {"type": "float", "low": 0.0, "high": 1.0} for i in range(9)}
    with pytest.raises(ConfigurationError, match=f"about 1953125 cells, more than {MAX_CELLS}"):
        check_sampler(config("grid"), parse_space(values, root="toy"))


# ---- what models learn from ---------------------------------------------------------------------


def num_refused(settings: SamplerConfig, *, failed: bool = False) -> int:
    """How many of 60 late trials run into a wall at x < 0; on this side of it x does not matter."""
    refused = []
    for seed in (0, 1, 2):
        study = new_study()
        for index in range(40):
            trial, params = ask(study, settings, PLANE, seed=seed)
            if number(params, "x") >= 0:
                study.tell(trial, number(params, "y") ** 2)
                continue
            refused.append(index)
            if not failed:
                trial.set_constraint("memory", -number(params, "x"))
            study.tell(trial, state=TrialState.FAIL if failed else TrialState.PRUNED)
    return sum(index >= 20 for index in refused)


def test_a_constraint_keeps_models_out_of_an_infeasible_region() -> None:
    assert num_refused(config("random")) >= 25
    assert num_refused(config("tpe", startup_trials=8)) <= 20
    assert num_refused(config("cmaes", startup_trials=8)) <= 10
    # why such trials are not recorded as failed: a model only sees that nobody was there
    assert num_refused(config("tpe", startup_trials=8), failed=True) >= 50


def test_trials_outside_a_range_that_has_moved_are_left_out_and_others_are_converted() -> None:
    study = new_study()
    run(study, config("random"), bowl, number=20, space=PLANE)
    half = Space((Parameter("x", "float", low=0.0, high=5.0), PLANE["y"]))
    known = known_trials(study, half, but=3)
    inside = [t for t in study.trials if t.params["x"] >= 0 and t.number != 3]
    assert [one.params for one in known] == [one.params for one in inside]
    assert {one.distributions["x"].high for one in known} == {5.0}  # type: ignore[attr-defined]
    assert all(0 <= number(ask(study, config("tpe"), half)[1], "x") <= 5 for _ in range(5))


def test_a_gp_is_shown_infeasible_trials_as_complete_ones_with_a_constraint() -> None:
    study = new_study()
    for value in (1.0, 2.0, 9.0):
        study.tell(ask(study, config("random"), PLANE)[0], value)
    refused = ask(study, config("random"), PLANE)[0]
    refused.set_constraint("memory", 7.0)
    study.tell(refused, state=TrialState.PRUNED)
    pruned = ask(study, config("random"), PLANE)[0]
    pruned.report(5.0, 1)
    study.tell(pruned, state=TrialState.PRUNED)
    shown = with_constraint(known_trials(study, PLANE, but=99))
    assert [one.values for one in shown] == [[1.0], [2.0], [9.0], [2.0], [5.0]]
    assert [list(one.constraints.values()) for one in shown] == [[-1], [-1], [-1], [1], []]
    assert [one.state.name for one in shown] == ["COMPLETE"] * 4 + ["PRUNED"]


def test_tpe_hears_of_running_trials() -> None:
    study = new_study()
    run(study, config("tpe"), bowl, number=10, space=PLANE)
    alone = ask(study, config("tpe"), PLANE, rank=99)[1]
    assert ask(study, config("tpe"), PLANE, rank=99)[1] != alone


def test_several_goals_can_be_searched_by_tpe_and_nsga2() -> None:
    for kind in ("tpe", "nsga2"):
        study = new_study(directions=["minimize", "maximize"])
        for _ in range(10):
            trial, params = ask(study, config(kind), PLANE)
            study.tell(trial, (bowl(params), number(params, "x")))
        assert len(study.best_trials) >= 1


# ---- evolution ----------------------------------------------------------------------------------


def test_cmaes_refuses_choices_alone_and_several_goals() -> None:
    space = parse_space({"kind": {"type": "categorical", "choices": ["a", "b"]}}, root="toy")
    with pytest.raises(ConfigurationError, match="none of the parameters \\(kind\\) is a range"):
        check_sampler(config("cmaes"), space)
    with pytest.raises(ConfigurationError, match="one objective and not 2"):
        check_sampler(config("cmaes"), SPACE, num_goals=2)


def test_evolution_forgets_nothing_and_keeps_nothing() -> None:
    study = new_study()
    run(study, config("cmaes"), bowl, number=25, space=PLANE)
    options: Mapping[str, Any] = {"num_startup": 4, "maximize": False, "seed": 3}
    one = evolved(study.trials, PLANE, **options)
    assert evolved(study.trials, PLANE, **options) == one
    assert evolved(study.trials[:-10], PLANE, **options) != one
    assert not any(trial.system_attrs for trial in study.trials)


@pytest.mark.parametrize("key", ["lr", "depth", "x"])
def test_coordinates_lead_back_to_the_value(key: str) -> None:
    for place in (0.0, 0.2, 0.5, 0.9, 1.0):
        value = SPACE[key].from_unit(place)
        again = SPACE[key].from_unit(min(max(_coordinate(value, SPACE[key]), 0.0), 1.0))
        assert math.isclose(float(str(again)), float(str(value)), rel_tol=1e-9, abs_tol=1e-9)


def test_the_population_of_nsga2_leaves_room_for_generations() -> None:
    assert [population_size(total) for total in (5, 50, 1000)] == [4, 10, 50]
