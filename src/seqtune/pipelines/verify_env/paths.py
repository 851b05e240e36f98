"""The two ways to a configuration, for one trial that represents all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Layer, Resolved
from seqtune.core.seeds import derive_seed
from seqtune.core.task import TaskSpec, TrainingData
from seqtune.core.trials import Params
from seqtune.tuning.spaces.space import Space

from .._resolution import resolve_run, resolve_trial, trial_values

MAX_TRIES = 64
TUNING = "reference trial"
TRAINING = "reference trial as best config"


@dataclass(frozen=True)
class TuningPath:
    """One trial: resolved as the search does, or as training does if it were the best."""

    task: TaskSpec
    parameters: TaskParameters
    data: TrainingData
    params: Params
    epochs: int

    def __call__(self) -> Resolved[Any]:
        task, parameters, data = self.task, self.parameters, self.data
        return resolve_trial(
            task, parameters, data, params=self.params, epochs=self.epochs, origin=TUNING
        )

    def resolve_as_training(self) -> Resolved[Any]:
        layer = Layer(TRAINING, trial_values(self(), self.params))
        return resolve_run(self.task, self.parameters, self.data, layer=layer)


def reference(
    task: TaskSpec, parameters: TaskParameters, data: TrainingData, space: Space
) -> TuningPath:
    """Return the trial in the middle of the space, or the first sampled one that resolves."""
    epochs = resolve_run(task, parameters, data).config.training.epochs
    size = len(space.keys)
    points = [[0.5] * size] + [
        [derive_seed(index, "reference", place) / 2**63 for place in range(size)]
        for index in range(MAX_TRIES if size else 0)
    ]
    paths = [TuningPath(task, parameters, data, space.from_unit(p), epochs) for p in points]
    return next((path for path in paths if _resolves(path)), paths[0])


def _resolves(path: TuningPath) -> bool:
    try:
        path()
    except ConfigurationError:
        return False
    return True
