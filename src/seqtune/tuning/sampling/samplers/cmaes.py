"""CMA-ES as a function of the trials so far, without state between trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from seqtune.core.errors import ConfigurationError
from seqtune.core.trials import Params

from ...analysis.param_stats import to_scale
from ...config import SamplerConfig
from ...spaces.space import Parameter, Space
from ..entries import Sampler, SamplerContext
from ..in_memory_study import by_model
from .random import random_point

SIGMA = 0.2
"""First step, as a share of each range."""
EDGE = 0.05
"""How far inside the ranges the first mean lies."""
Point = NDArray[np.float64]


def moving(space: Space) -> list[Parameter]:
    """Return the ranges that always exist, which CMA-ES can move."""
    return [one for one in space.parameters if one.is_range and not one.when]


def check(_config: SamplerConfig, space: Space, num_goals: int) -> None:
    faults = []
    if num_goals > 1:
        faults.append(
            f"sampler.kind=cmaes searches one objective and not {num_goals}; take nsga2 or tpe"
        )
    if not moving(space):
        faults.append(
            "sampler.kind=cmaes moves numbers, and none of the parameters "
            f"({', '.join(space.keys) or 'none'}) is a range that always exists; take tpe"
        )
    if faults:
        raise ConfigurationError(faults)


def evolved(
    past: Sequence[FrozenTrial], space: Space, *, num_startup: int, maximize: bool, seed: int
) -> Params:
    """Propose the next configuration: replay all generations, then draw one point.

    A generation is the next few finished trials by number. Categorical and conditional parameters
    are drawn at random.
    """
    from cmaes import CMA  # type: ignore[import-untyped]

    ranges = moving(space)
    first, later = past[:num_startup], past[num_startup:]
    key = partial(_sort_key, sign=-1.0 if maximize else 1.0)
    optimizer = CMA(
        mean=_start(sorted(first, key=key), ranges),
        sigma=SIGMA,
        bounds=np.array([[0.0, 1.0]] * len(ranges)),
        seed=seed,
    )
    size = optimizer.population_size
    for start in range(0, len(later) - size + 1, size):
        generation = sorted(later[start : start + size], key=key)
        # CMA-ES uses only the order, and pruned and infeasible trials are not ordered by values
        optimizer.tell([(_unit(one.params, ranges), float(n)) for n, one in enumerate(generation)])
        if optimizer.should_stop():
            break
    moved = dict(zip([one.key for one in ranges], optimizer.ask().tolist(), strict=True))
    others = random_point(num_dimensions=len(space.parameters), seed=seed)
    point = [moved.get(key, other) for key, other in zip(space.keys, others, strict=True)]
    return space.from_unit([min(max(coordinate, 0.0), 1.0) for coordinate in point])


def _sort_key(trial: FrozenTrial, *, sign: float) -> tuple[float, float, int]:
    """Sort from the best to the worst: complete, pruned, infeasible."""
    violation = sum(value for value in trial.constraints.values() if value > 0)
    pruned = float(trial.state.name == "PRUNED")
    value = trial.values[0] if trial.values else math.inf * sign
    return (2.0 + violation if violation else pruned, sign * value, trial.number)


def _start(first: Sequence[FrozenTrial], ranges: Sequence[Parameter]) -> Point:
    """Return the best of the space-filling trials, moved away from the ends."""
    if not first:
        return np.full(len(ranges), 0.5)
    return np.clip(_unit(first[0].params, ranges), EDGE, 1.0 - EDGE)


def _unit(params: Params, ranges: Sequence[Parameter]) -> Point:
    """Return the coordinates of these values in the unit cube."""
    return np.array([_coordinate(params[one.key], one) for one in ranges])


def _coordinate(value: object, parameter: Parameter) -> float:
    """Return the middle of what `Parameter.from_unit` maps to this value."""
    half = float(parameter.step or parameter.kind == "int") / 2
    low = to_scale(float(parameter.low) - half, parameter)
    high = to_scale(float(parameter.high) + half, parameter)
    return (to_scale(float(str(value)), parameter) - low) / (high - low)


def propose(study: Study, past: list[FrozenTrial], context: SamplerContext) -> Params:
    return evolved(
        [one for one in past if one.state.is_finished()],
        context.space,
        num_startup=context.config.startup_trials,
        maximize=study.direction == StudyDirection.MAXIMIZE,
        seed=context.seed,
    )


ENTRY = Sampler(
    partial(by_model, propose=propose),
    "ranges of numbers, one goal, many trials",
    is_model_based=True,
    check=check,
)
