"""Build the sampler of one trial, without state between trials.

A sampler reads everything from the study or draws it from a seed that is a function of the trial's
rank. So a search that was stopped anywhere continues with the same draws.
"""

from __future__ import annotations

from optuna.samplers import BaseSampler

from seqtune.core.errors import ConfigurationError
from seqtune.core.seeds import derive_seed

from ...config import SamplerConfig
from ...spaces.space import Space
from ..chosen_sampler import NUMPY_SEEDS
from ..entries import Sampler, SamplerContext
from ..registry import SAMPLERS


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
    """Build the sampler for one trial; for the arguments see `StudyPlan` and `SamplerContext`."""
    if config.kind not in SAMPLERS:
        raise ConfigurationError(f"sampler.kind={config.kind!r} is settled before a search begins")
    own = derive_seed(seed, stage, rank) % NUMPY_SEEDS
    drawn = rank if num_drawn is None else num_drawn
    sampler: Sampler = SAMPLERS[config.kind]
    return sampler.build(
        SamplerContext(config, space, seed, own, rank=rank, num_drawn=drawn, total=total)
    )


def check_sampler(config: SamplerConfig, space: Space, *, num_goals: int = 1) -> None:
    """Refuse a sampler that cannot search this space, before anything runs."""
    if config.kind in SAMPLERS:
        SAMPLERS[config.kind].check(config, space, num_goals)
