"""Independent draws."""

from __future__ import annotations

import numpy as np
from optuna.samplers import BaseSampler

from ..chosen_sampler import at_point
from ..entries import Sampler, SamplerContext


def random_point(*, num_dimensions: int, seed: int) -> tuple[float, ...]:
    """Draw independent uniform coordinates."""
    return tuple(np.random.default_rng(seed).random(num_dimensions).tolist())


def build(context: SamplerContext) -> BaseSampler:
    num_dimensions = len(context.space.parameters)
    return at_point(context, random_point(num_dimensions=num_dimensions, seed=context.seed))


ENTRY = Sampler(build, "a floor to compare with")
