"""The two ways to a configuration, for one trial that stands for all."""

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
    """As a trial of the search resolves its configuration."""

    task: TaskSpec
    parameters: TaskParameters
    data: TrainingData
    params: Params
    epochs: int

    def __call__(self) -> Resolved[Any]:
        return resolve_trial(
            self.task,
            self.parameters,
            self.data,
            params=self.params,
            epochs=self.epochs,
            origin=TUNING,
        )


@dataclass(frozen=True)
class TrainingPath:
    """As training takes over that same trial, had it been found best."""

    trial: TuningPath

    def __call__(self) -> Resolved[Any]:
        trial = self.trial
        values = trial_values(trial(), trial.params)
        layer = Layer(TRAINING, values)
        return resolve_run(trial.task, trial.parameters, trial.data, layer=layer)[0]


def reference(
    task: TaskSpec, parameters: TaskParameters, data: TrainingData, space: Space
) -> TuningPath:
    """The trial in the middle of the space, or the first beside it whose shapes fit."""
    epochs = resolve_run(task, parameters, data)[0].config.training.epochs
    size = len(space.keys)
    points = [[0.5] * size] + [
        [derive_seed(index, "reference", place) / 2**63 for place in range(size)]
        for index in range(MAX_TRIES if size else 0)
    ]
    paths = [TuningPath(task, parameters, data, space.from_unit(p), epochs) for p in points]
    return next((path for path in paths if _fits(path)), paths[0])


def _fits(path: TuningPath) -> bool:
    try:
        path()
    except ConfigurationError:
        return False
    return True
