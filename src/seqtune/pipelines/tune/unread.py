"""A searched key that the task never reads is an error: the search would go by nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from seqtune.contracts.errors import ConfigurationError, InfeasibleError
from seqtune.contracts.reads import watched
from seqtune.contracts.seeds import derive_seed
from seqtune.contracts.trials import Params
from seqtune.tuning.spaces.space import Space

from .objective import TrainTrial

MAX_TRIES = 64


def refuse_unread(objective: TrainTrial, space: Space, *, root: str) -> None:
    """Train a step of as many configurations as it takes to have every parameter once."""
    from seqtune.training import rehearse

    data = objective.task.open_data(objective.split)
    folder = objective.scratch / "tune" / f"{objective.stage}-reads"
    missing = set(space.keys)
    read: set[str] = set()
    for params in _covering(space):
        if not missing & set(params):
            continue
        try:
            resolved = objective.resolve(params, data)
        except InfeasibleError:
            continue
        config, reads = watched(resolved.config)
        try:
            rehearse(objective.task, config, data, num_steps=1, directory=folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        missing -= set(params)
        read |= reads
        if not missing:
            break
    unread = [key for key in space.keys if key not in read and key not in missing]
    if unread:
        raise ConfigurationError(
            [
                f"{root}.{key} is searched, but {objective.task.name} never reads it with the "
                "other settings as they are; take it out (null), or give it a `when` that names "
                "the values under which it matters"
                for key in unread
            ]
        )


def _covering(space: Space) -> Iterator[Params]:
    """Configurations all over the space, the middle first."""
    size = len(space.keys)
    yield space.from_unit([0.5] * size)
    for index in range(MAX_TRIES):
        yield space.from_unit([derive_seed(index, "cover", place) / 2**63 for place in range(size)])
