"""NSGA-II of Optuna, with draws that do not depend on the process."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from typing_extensions import override

from ..chosen_sampler import random_value
from ..entries import Sampler, SamplerContext

MIN_POPULATION, MAX_POPULATION, GENERATIONS = 4, 50, 5
"""The population size allows about this many generations."""


class ReproducibleNSGAII(NSGAIISampler):
    """NSGA-II whose mutations depend on the parameter alone, not on what was drawn before."""

    def __init__(self, *, seed: int, population_size: int) -> None:
        super().__init__(seed=seed, population_size=population_size)
        self.mutation_seed = seed

    @override
    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        # Optuna's order depends on which process asks first
        parents = super().get_parent_population(study, generation)
        return sorted(parents, key=lambda parent: parent.number)

    @override
    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return random_value(study, trial, param_name, param_distribution, seed=self.mutation_seed)


def population_size(total: int) -> int:
    return min(max(total // GENERATIONS, MIN_POPULATION), MAX_POPULATION)


def build(context: SamplerContext) -> BaseSampler:
    size = population_size(context.total)
    return ReproducibleNSGAII(seed=context.seed, population_size=size)


ENTRY = Sampler(build, "several goals, many trials", is_model_based=True)
