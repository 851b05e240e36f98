"""A sampler that proposes one configuration, chosen as a whole."""

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

from .entries import SamplerContext

Choose = Callable[[Study, FrozenTrial], Params]
NUMPY_SEEDS = 2**32


class ChosenSampler(BaseSampler):
    """Proposes one configuration, chosen as a whole when its first value is needed.

    Nothing is chosen for a trial that brings all its values. Each value is looked up by its key,
    so that a trial whose process died between two values resumes with the same ones.
    """

    def __init__(self, choose: Choose, *, seed: int) -> None:
        self._choose, self._seed = choose, seed
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
        # a queued value can activate a parameter that the chosen configuration does not have
        return random_value(study, trial, param_name, param_distribution, seed=self._seed)


def random_value(
    study: Study, trial: FrozenTrial, key: str, distribution: BaseDistribution, *, seed: int
) -> Any:
    """Draw a value that depends on the seed and the key, not on earlier draws."""
    sampler = RandomSampler(seed=derive_seed(seed, key) % NUMPY_SEEDS)
    return sampler.sample_independent(study, trial, key, distribution)


def always(params: Params, seed: int) -> ChosenSampler:
    """Propose these values, regardless of earlier trials."""
    return ChosenSampler(lambda _study, _trial: params, seed=seed)


def at_point(context: SamplerContext, point: tuple[float, ...]) -> ChosenSampler:
    """Propose the values at a point of the unit cube."""
    return always(context.space.from_unit(point), context.seed)
