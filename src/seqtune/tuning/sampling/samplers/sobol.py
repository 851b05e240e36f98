"""Points that fill the space evenly."""

from __future__ import annotations

import numpy as np
from optuna.samplers import BaseSampler

from ..chosen_sampler import at_point
from ..entries import Sampler, SamplerContext


def sobol_point(index: int, *, num_dimensions: int, seed: int) -> tuple[float, ...]:
    """Return point `index` of a scrambled Sobol sequence."""
    from scipy.stats import qmc

    if not num_dimensions:
        return ()
    sequence = qmc.Sobol(num_dimensions, scramble=True, rng=np.random.default_rng(seed))
    if index:
        sequence.fast_forward(index)
    return tuple(float(coordinate) for coordinate in sequence.random(1)[0])


def next_point(context: SamplerContext) -> tuple[float, ...]:
    """Return the point of this trial in the sequence of the whole search."""
    num_dimensions = len(context.space.parameters)
    return sobol_point(context.num_drawn, num_dimensions=num_dimensions, seed=context.search_seed)


def build(context: SamplerContext) -> BaseSampler:
    return at_point(context, next_point(context))


ENTRY = Sampler(build, "a first look that fills the space evenly; importances")
