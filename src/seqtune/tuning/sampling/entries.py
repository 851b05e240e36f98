"""What the file of a sampler or a pruner defines as its `ENTRY`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ..config import SamplerConfig
    from ..spaces.space import Space
    from .pruners import Case


@dataclass(frozen=True)
class SamplerContext:
    """The input from which the sampler of one trial is built."""

    config: SamplerConfig
    space: Space
    search_seed: int
    seed: int
    """Of this trial: a function of search, stage and rank."""
    rank: int
    """Configurations tried before it."""
    num_drawn: int
    """How many of them came from the sampler."""
    total: int
    """Trials of the whole search."""


@dataclass(frozen=True)
class Sampler:
    """One way to propose configurations."""

    build: Callable[[SamplerContext], BaseSampler]
    summary: str
    """When to use it."""
    is_model_based: bool = False
    """It searches where it expects the best, which makes importances near chance."""
    check: Callable[[SamplerConfig, Space, int], None] = lambda _config, _space, _num_goals: None
    """Raise ConfigurationError for a space or a number of goals that it cannot search."""
    num_configurations: Callable[[SamplerConfig, Space], int | None] = lambda _config, _space: None
    """How many different ones it can propose; None for any number."""


@dataclass(frozen=True)
class PruningRule:
    """One rule by which a trial is stopped."""

    reason: Callable[[Case], str]
    """Why the trial should stop; empty if it continues."""
    summary: str
    """A trial is stopped when ..."""
