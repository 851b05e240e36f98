"""Every cell of a grid, in a shuffled order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler

from seqtune.core.errors import ConfigurationError
from seqtune.core.trials import Params, Value

from ...config import SamplerConfig
from ...spaces.space import Parameter, Space
from ..chosen_sampler import always
from ..entries import Sampler, SamplerContext

MAX_CELLS = 100_000


def grid(space: Space, *, points: int) -> list[Params]:
    """Return every cell, conditions resolved; a range without a step has `points` values."""
    _check_size(space, points=points)
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
    """Return the values of one parameter on a grid."""
    if parameter.kind == "categorical":
        return parameter.choices
    number = parameter.num_values
    if number is None or (parameter.step is None and number > points):
        return _spread(parameter, points)
    if parameter.log:
        return tuple(range(int(parameter.low), int(parameter.high) + 1))
    return tuple(parameter.from_unit((index + 0.5) / number) for index in range(number))


def _spread(parameter: Parameter, points: int) -> tuple[Value, ...]:
    """Spread values evenly from end to end on the scale of the parameter, each once."""
    space = np.geomspace if parameter.log else np.linspace
    values: list[Any] = space(parameter.low, parameter.high, points).tolist()
    if parameter.kind == "int":
        return tuple(dict.fromkeys(round(value) for value in values))
    inside = (min(max(value, parameter.low), parameter.high) for value in values)
    return tuple(dict.fromkeys(inside))


def grid_cells(config: SamplerConfig, space: Space, *, seed: int) -> list[Params]:
    """Shuffle the cells, so that an unfinished grid is not one corner of the space."""
    cells: Sequence[Params] = grid(space, points=config.grid_points)
    return [cells[index] for index in np.random.default_rng(seed).permutation(len(cells))]


def _check_size(space: Space, *, points: int) -> None:
    size = math.prod(len(grid_values(one, points=points)) for one in space.parameters)
    if size > MAX_CELLS:
        raise ConfigurationError(
            f"sampler.kind=grid: the space has about {size} cells, more than {MAX_CELLS}; give "
            f"ranges larger steps, lower sampler.grid_points (now {points}), or use sobol"
        )


def build(context: SamplerContext) -> BaseSampler:
    cells = grid_cells(context.config, context.space, seed=context.search_seed)
    return always(cells[context.num_drawn % len(cells)], context.seed)


def check(config: SamplerConfig, space: Space, _num_goals: int) -> None:
    _check_size(space, points=config.grid_points)


ENTRY = Sampler(
    build,
    "a few values that you want all combinations of",
    check=check,
    num_configurations=lambda config, space: len(grid(space, points=config.grid_points)),
)
