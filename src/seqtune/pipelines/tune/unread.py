"""A searched key that the task never reads is an error: the search would go by nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from typing import Any

from seqtune.contracts.errors import ConfigurationError, InfeasibleError
from seqtune.contracts.reads import watched
from seqtune.contracts.seeds import derive_seed
from seqtune.contracts.task import TaskSpec, TrainingData
from seqtune.contracts.trials import Params
from seqtune.tuning.goals.scoring import BY_EPOCH, Scoring
from seqtune.tuning.spaces.space import Space

from .objective import TrainTrial

MAX_TRIES = 64
Use = Callable[[Any], object]
"""Does with a configuration what a trial does with it."""


def refuse_unread(objective: TrainTrial, space: Space, *, root: str) -> None:
    """Train a step of as many configurations as it takes to have every parameter once."""
    from seqtune.training import rehearse

    data = objective.task.open_data(objective.split)
    folder = objective.scratch / "tune" / f"{objective.stage}-reads"

    def train_a_step(config: Any) -> None:
        try:
            rehearse(objective.task, config, data, num_steps=1, directory=folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    keys = [key for key in space.keys if not is_after_training(objective.task, key)]
    _refuse(objective, space, data, train_a_step, keys=keys, root=root)


def refuse_unread_after_training(
    objective: TrainTrial, space: Space, trained: Params, *, root: str
) -> None:
    """Measure the weights of one trial under as many configurations as it takes.

    They are there already where the trial is one of the last of its stage.
    """
    measure = objective.task.measure
    keys = [key for key in space.keys if is_after_training(objective.task, key)]
    if measure is None or not keys:
        return
    data = objective.task.open_data(objective.split)
    resolved = objective.resolve(trained, data)
    name = f"{objective.stage}-reads"
    with objective.trained(resolved.config, data, _go_on, name=name) as weights:
        if (checkpoint := weights.checkpoint) is not None:
            _refuse(
                objective,
                space,
                data,
                lambda config: measure(checkpoint, data, config),
                keys=keys,
                root=root,
            )


def refuse_unmeasured(task: TaskSpec, space: Space, scoring: Scoring, *, root: str) -> None:
    """Refuse to search what no goal depends on: training never reads it, and they end with it."""
    if any(not goal.metric.startswith(BY_EPOCH) for goal in scoring.all_goals):
        return
    keys = [key for key in space.keys if is_after_training(task, key)]
    if keys:
        goals = ", ".join(goal.metric for goal in scoring.all_goals)
        raise ConfigurationError(
            [
                f"{root}.{key} is searched, but the search goes by {goals}, which training "
                f"measures and this does not change; take it out (null), or name in "
                f"tuning.objectives what {task.name} measures on trained weights"
                for key in keys
            ]
        )


def is_after_training(task: TaskSpec, key: str) -> bool:
    """Whether training never reads a key, and `measure` does."""
    return key.split(".")[0] in task.after_training


def _refuse(
    objective: TrainTrial,
    space: Space,
    data: TrainingData,
    use: Use,
    *,
    keys: Collection[str],
    root: str,
) -> None:
    """Use configurations until every key was there once; refuse those that nobody read."""
    missing, read = set(keys), set[str]()
    for params in _covering(space):
        if not missing:
            break
        if not missing & set(params):
            continue
        try:
            resolved = objective.resolve(params, data)
        except InfeasibleError:
            continue
        config, reads = watched(resolved.config)
        use(config)
        missing -= set(params)
        read |= reads
    unread = [key for key in keys if key not in read and key not in missing]
    if unread:
        raise ConfigurationError(
            [
                f"{root}.{key} is searched, but {objective.task.name} never reads it with the "
                "other settings as they are; take it out (null), or give it a `when` that names "
                "the values under which it matters"
                for key in unread
            ]
        )


def _go_on(_epoch: int, _metrics: object) -> bool:
    return False


def _covering(space: Space) -> Iterator[Params]:
    """Configurations all over the space, the middle first."""
    size = len(space.keys)
    yield space.from_unit([0.5] * size)
    for index in range(MAX_TRIES):
        yield space.from_unit([derive_seed(index, "cover", place) / 2**63 for place in range(size)])
