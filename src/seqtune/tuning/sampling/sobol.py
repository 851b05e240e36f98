"""Configurations that are known beforehand: the n-th point of a sequence, or cell of a grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler
from typing_extensions import override

from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.seeds import derive_seed
from seqtune.contracts.trials import Params, Value

from ..spaces.space import Parameter, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

Choose = Callable[["Study", "FrozenTrial"], Params]
NUMPY_SEEDS = 2**32
MAX_CELLS = 100_000


class ChosenSampler(BaseSampler):
    """One configuration, chosen as a whole when its first value is asked for.

    Nothing is chosen for a trial that brings all its values along. Each value is looked up by its
    key, so that one whose process died between two of its values goes on with the very same ones.
    """

    def __init__(self, choose: Choose, *, seed: int) -> None:
        self._choose = choose
        self._seed = seed
        self._chosen: Params | None = None

    @override
    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    @override
    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if self._chosen is None:
            self._chosen = self._choose(study, trial)
        if param_name in self._chosen:
            return self._chosen[param_name]
        # beside a queued value a parameter may exist that did not exist beside the chosen one
        return random_value(study, trial, param_name, param_distribution, seed=self._seed)


def random_value(
    study: Study, trial: FrozenTrial, key: str, distribution: BaseDistribution, *, seed: int
) -> Any:
    """A value that depends on the seed and the key, not on what else was drawn."""
    sampler = RandomSampler(seed=derive_seed(seed, key) % NUMPY_SEEDS)
    return sampler.sample_independent(study, trial, key, distribution)


# ---- points of the unit cube --------------------------------------------------------------------


def sobol_point(index: int, *, num_dimensions: int, seed: int) -> tuple[float, ...]:
    """Point `index` of a scrambled Sobol sequence: it fills the cube evenly, in any number."""
    from scipy.stats import qmc

    if not num_dimensions:
        return ()
    sequence = qmc.Sobol(num_dimensions, scramble=True, rng=np.random.default_rng(seed))
    if index:
        sequence.fast_forward(index)
    return tuple(float(coordinate) for coordinate in sequence.random(1)[0])


def random_point(*, num_dimensions: int, seed: int) -> tuple[float, ...]:
    """Independent uniform coordinates."""
    return tuple(np.random.default_rng(seed).random(num_dimensions).tolist())


# ---- grids --------------------------------------------------------------------------------------


def grid(space: Space, *, points: int) -> list[Params]:
    """Every cell, conditions resolved; a range without a step becomes `points` values."""
    _refuse_a_huge_one(space, points=points)
    cells: list[dict[str, Value]] = [{}]
    for parameter in space.parameters:
        values = grid_values(parameter, points=points)
        cells = [
            {**cell, parameter.key: value} if parameter.exists(cell) else cell
            for cell in cells
            for value in (values if parameter.exists(cell) else values[:1])
        ]
    return list(cells)


def grid_values(parameter: Parameter, *, points: int) -> tuple[Value, ...]:
    """The values of one parameter on a grid."""
    if parameter.kind == "categorical":
        return parameter.choices
    number = parameter.num_values
    if number is None or (parameter.step is None and number > points):
        return _spread(parameter, points)
    if parameter.log:
        return tuple(range(int(parameter.low), int(parameter.high) + 1))
    return tuple(parameter.from_unit((index + 0.5) / number) for index in range(number))


def _spread(parameter: Parameter, points: int) -> tuple[Value, ...]:
    """Evenly from end to end, on the scale of the parameter."""
    space = np.geomspace if parameter.log else np.linspace
    values = space(parameter.low, parameter.high, points).tolist()
    if parameter.kind == "int":
        return _unique(round(value) for value in values)
    return _unique(min(max(value, parameter.low), parameter.high) for value in values)


def _unique(values: Any) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))


def shuffled(cells: Sequence[Params], *, seed: int) -> list[Params]:
    """In an order that is not that of the parameters: a grid that is left early is no corner."""
    order = np.random.default_rng(seed).permutation(len(cells))
    return [cells[index] for index in order]


def _refuse_a_huge_one(space: Space, *, points: int) -> None:
    size = math.prod(len(grid_values(one, points=points)) for one in space.parameters)
    if size > MAX_CELLS:
        raise ConfigurationError(
            f"sampler.kind=grid: the space has about {size} cells, more than {MAX_CELLS}; give "
            f"ranges larger steps, lower sampler.grid_points (now {points}), or take sobol"
        )
