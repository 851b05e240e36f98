"""Refusal to search parameters without an effect: the search would learn from noise."""

from __future__ import annotations

from collections.abc import Iterator

from seqtune.core.config import has_effect
from seqtune.core.errors import ConfigurationError, InfeasibleError
from seqtune.core.seeds import derive_seed
from seqtune.core.task import TaskSpec
from seqtune.core.trials import Params
from seqtune.tuning.objectives.scoring import BY_EPOCH, Scoring
from seqtune.tuning.spaces.space import Space

from .objective import TrainTrial

MAX_SAMPLES = 64


def refuse_params_without_effect(objective: TrainTrial, space: Space, *, root: str) -> None:
    """Refuse searched keys that have no effect in any sampled configuration."""
    data = objective.task.open_data(objective.split)
    seen, effective = set[str](), set[str]()
    for params in _samples(space):
        if effective == set(space.keys):
            return
        try:
            config = objective.resolve(params, data).config
        except InfeasibleError:
            continue
        seen |= set(params)
        effective |= {key for key in params if has_effect(config, key)}
    if unused := [key for key in space.keys if key in seen - effective]:
        raise ConfigurationError(
            [
                f"{root}.{key} is searched, but {objective.task.name} never reads it with the "
                "other settings as they are; take it out (null), or give it a `when` that names "
                "the values under which it matters"
                for key in unused
            ]
        )


def refuse_unmeasured_params(task: TaskSpec, space: Space, scoring: Scoring, *, root: str) -> None:
    """Refuse keys that training never reads if every goal is measured during training."""
    if any(not goal.metric.startswith(BY_EPOCH) for goal in scoring.all_goals):
        return
    if keys := [key for key in space.keys if key.split(".")[0] in task.after_training]:
        goals = ", ".join(goal.metric for goal in scoring.all_goals)
        raise ConfigurationError(
            [
                f"{root}.{key} is searched, but the search optimises {goals}, which training "
                f"measures and this key does not change; take it out (null), or name in "
                f"tuning.objectives a metric that {task.name} measures on trained weights"
                for key in keys
            ]
        )


def _samples(space: Space) -> Iterator[Params]:
    """Sample configurations from the whole space, the middle first."""
    size = len(space.keys)
    yield space.from_unit([0.5] * size)
    for index in range(MAX_SAMPLES):
        yield space.from_unit([derive_seed(index, "cover", place) / 2**63 for place in range(size)])
