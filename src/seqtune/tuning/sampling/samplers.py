"""What proposes the next configuration: one sampler for one trial, without a memory of its own.

Whatever a sampler goes by is read from the study and drawn from a seed that is a function of the
trial's rank. A search that stopped anywhere therefore goes on with the draws it would have made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from typing_extensions import override

from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.seeds import derive_seed
from seqtune.contracts.trials import Params

from ..config import SamplerConfig
from ..spaces.space import Space
from .evolution import check_evolution, evolved
from .mirror import known_trials, proposed, with_constraint
from .sobol import (
    NUMPY_SEEDS,
    Choose,
    ChosenSampler,
    grid,
    random_point,
    random_value,
    shuffled,
    sobol_point,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

MIN_LEARNED = 2
"""Trials without which no model says anything."""
MIN_POPULATION, MAX_POPULATION, GENERATIONS = 4, 50, 5
"""NSGA-II: a population that leaves room for about so many generations."""


def build_sampler(
    config: SamplerConfig,
    *,
    seed: int,
    rank: int,
    space: Space,
    stage: str = "",
    num_drawn: int | None = None,
    total: int = 100,
) -> BaseSampler:
    """The sampler for one trial.

    `rank` is the number of configurations before it, those that were given back left out; of
    those, `num_drawn` came from the sampler (and not from the queue). `seed` and `stage` are the
    plan's.
    """
    drawn = rank if num_drawn is None else num_drawn
    own = derive_seed(seed, stage, rank) % NUMPY_SEEDS
    kind = config.kind
    if kind == "nsga2":
        return _Evolving(seed=own, population_size=population_size(total))
    if kind == "random":
        return _at_point(space, random_point(num_dimensions=len(space.parameters), seed=own), own)
    filling = _sobol(space, drawn, seed=seed)
    if kind == "sobol":
        return _at_point(space, filling, own)
    if kind == "grid":
        cells = grid_cells(config, space, seed=seed)
        return _always(cells[drawn % len(cells)], own)
    if kind not in _MODELS:
        raise ConfigurationError(f"sampler.kind={kind!r} is settled before a search begins")
    startup = rank < config.startup_trials
    return ChosenSampler(_by_model(config, space, filling, startup=startup, seed=own), seed=own)


def check_sampler(config: SamplerConfig, space: Space, *, num_goals: int = 1) -> None:
    """Refuse a kind that cannot search this space, before anything runs."""
    if config.kind == "cmaes":
        check_evolution(space, num_goals=num_goals)
    if config.kind == "grid":
        grid(space, points=config.grid_points)


def num_configurations(config: SamplerConfig, space: Space) -> int | None:
    """How many different ones the sampler can propose; None for any number."""
    return len(grid(space, points=config.grid_points)) if config.kind == "grid" else None


def grid_cells(config: SamplerConfig, space: Space, *, seed: int) -> list[Params]:
    """The cells of the grid in the order in which they are tried."""
    return shuffled(grid(space, points=config.grid_points), seed=seed)


def population_size(total: int) -> int:
    """Of NSGA-II, for a search of `total` trials."""
    return min(max(total // GENERATIONS, MIN_POPULATION), MAX_POPULATION)


def _sobol(space: Space, index: int, *, seed: int) -> tuple[float, ...]:
    return sobol_point(index, num_dimensions=len(space.parameters), seed=seed)


def _at_point(space: Space, point: tuple[float, ...], seed: int) -> ChosenSampler:
    return _always(space.from_unit(point), seed)


def _always(params: Params, seed: int) -> ChosenSampler:
    return ChosenSampler(lambda _study, _trial: params, seed=seed)


# ---- models -------------------------------------------------------------------------------------

Model = Callable[["Study", "list[FrozenTrial]", Space, SamplerConfig, int], Params]


def _by_model(
    config: SamplerConfig, space: Space, filling: tuple[float, ...], *, startup: bool, seed: int
) -> Choose:
    """A space-filling point at first, and while there is nothing to learn from; then the model."""

    def choose(study: Study, trial: FrozenTrial) -> Params:
        if startup:
            return space.from_unit(filling)
        past = known_trials(study, space, but=trial.number)
        if sum(one.state.is_finished() for one in past) < MIN_LEARNED:
            return space.from_unit(filling)
        return _MODELS[config.kind](study, past, space, config, seed)

    return choose


def _tpe(
    study: Study, past: list[FrozenTrial], space: Space, config: SamplerConfig, seed: int
) -> Params:
    """Optuna 5: multivariate for one objective, running trials counted as bad ones."""
    model = TPESampler(n_startup_trials=1, n_ei_candidates=config.candidates, seed=seed)
    return proposed(past, space, model, directions=study.directions)


def _gp(
    study: Study, past: list[FrozenTrial], space: Space, config: SamplerConfig, seed: int
) -> Params:
    """Parameters that do not always exist are left to TPE, one by one."""
    from optuna.samplers import GPSampler

    past = with_constraint(past)
    if sum(one.state.name == "COMPLETE" for one in past) < MIN_LEARNED:
        return _tpe(study, past, space, config, seed)
    model = GPSampler(
        seed=seed,
        n_startup_trials=MIN_LEARNED,
        independent_sampler=TPESampler(n_startup_trials=1, seed=seed),
        warn_independent_sampling=False,
    )
    return proposed(past, space, model, directions=study.directions)


def _cmaes(
    study: Study, past: list[FrozenTrial], space: Space, config: SamplerConfig, seed: int
) -> Params:
    finished = [one for one in past if one.state.is_finished()]
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    return evolved(finished, space, num_startup=config.startup_trials, maximize=maximize, seed=seed)


_MODELS: dict[str, Model] = {"tpe": _tpe, "gp": _gp, "cmaes": _cmaes}


class _Evolving(NSGAIISampler):
    """NSGA-II whose mutations depend on the parameter alone, and not on what was drawn before."""

    def __init__(self, *, seed: int, population_size: int) -> None:
        super().__init__(seed=seed, population_size=population_size)
        self._seed = seed

    @override
    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        # Optuna gives them in another order to whoever asks first
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
        return random_value(study, trial, param_name, param_distribution, seed=self._seed)
