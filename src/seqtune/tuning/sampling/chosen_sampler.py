"""Samplers that propose one configuration, chosen as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from typing_extensions import override

from seqtune.core.seeds import derive_seed
from seqtune.core.trials import Params

from .registry import SamplerContext

Choose = Callable[[Study, FrozenTrial], Params]
NUMPY_SEEDS = 2**32


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


def always(params: Params, seed: int) -> ChosenSampler:
    """These values, whatever was tried before."""
    return ChosenSampler(lambda _study, _trial: params, seed=seed)


def at_point(context: SamplerContext, point: tuple[float, ...]) -> ChosenSampler:
    """The values at a point of the unit cube."""
    return always(context.space.from_unit(point), context.seed)
