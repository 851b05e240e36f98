"""The one way from what was typed to a configuration that runs: for a trial, and for the final run.

Tuning and training differ in a single layer: the parameters of a trial, or the best ones of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seqtune.core.config import RunConfig, fingerprint
from seqtune.core.parameters import AUTO, TaskParameters
from seqtune.core.resolve import Layer, Resolved, require_made_with, unflatten
from seqtune.core.task import Report, TaskSpec, TrainingData
from seqtune.core.trials import Params

NUM_THREADS = "training.num_threads"
EPOCHS = "training.epochs"
SEED = "seed"
THREADS_OF_A_WORKER = 1

logger = logging.getLogger(__name__)


def resolve_run(
    task: TaskSpec, parameters: TaskParameters, data: TrainingData, *, layer: Layer | None = None
) -> tuple[Resolved[Any], str]:
    """Settle every value of the configuration, and the name of the preset that was taken."""

    from seqtune.training import resolve_auto

    preset = parameters.preset
    if preset == AUTO:
        preset = task.choose_preset(data)
    resolved = resolve_auto(parameters.resolve(preset, best=layer))
    if task.resolve_auto is not None:
        resolved = task.resolve_auto(resolved, data)
    require_made_with(resolved.config, data.made_with, what="the split")
    return resolved, preset


def resolve_trial(
    task: TaskSpec,
    parameters: TaskParameters,
    data: TrainingData,
    *,
    params: Params,
    epochs: int,
    origin: str = "tuning",
) -> Resolved[Any]:
    """The configuration of a trial: one thread for each worker unless something else was set.

    A trial that is there for its seed has that one, though the command line names another.
    """
    if SEED in params:
        parameters = _with_open_seed(parameters)
    layer = _layer(parameters, params, epochs=epochs, origin=origin)
    return resolve_run(task, parameters, data, layer=layer)[0]


def training_fingerprint(task: TaskSpec, config: RunConfig, data: TrainingData) -> tuple[Any, str]:
    """The configuration with what training never reads as it is by default, and its fingerprint:
    where two have the same, they have the same weights."""
    fields = type(config).model_fields
    defaults = {
        name: fields[name].get_default(call_default_factory=True) for name in task.after_training
    }
    read = config.model_copy(update=defaults)
    return read, fingerprint(read, data_hash=data.content_hash)


def warn_of_other_data(verified: Report, data: TrainingData, *, task: str) -> None:
    """Say where the report of verify_env, as a partial run finds it, is of an earlier split."""
    if verified["data_hash"] != data.content_hash:
        logger.warning(
            "%s.verify_report is of other data than these: run `kedro run --pipelines "
            "%s.verify_env` to verify them",
            task,
            task,
        )


def trial_values(resolved: Resolved[Any], params: Params) -> dict[str, Any]:
    """What training must take over to run the same: nested, as in the task's configuration."""
    training = resolved.config.training
    settled = {EPOCHS: training.epochs, NUM_THREADS: training.num_threads}
    return unflatten({**params, **settled})


def _layer(parameters: TaskParameters, params: Params, *, epochs: int, origin: str) -> Layer:
    values: dict[str, Any] = {**params, EPOCHS: epochs}
    if _threads_are_open(parameters):
        values[NUM_THREADS] = THREADS_OF_A_WORKER
    return Layer(origin, unflatten(values))


def _with_open_seed(parameters: TaskParameters) -> TaskParameters:
    runtime = parameters.runtime
    kept = {key: value for key, value, _ in runtime.leaves() if key != SEED}
    return parameters._replace(runtime=replace(runtime, values=unflatten(kept)))


def _threads_are_open(parameters: TaskParameters) -> bool:
    """Whether nobody set the number of threads."""
    typed: Mapping[str, Any] = {
        key: value
        for layer in (parameters.files, parameters.runtime)
        for key, value, _ in layer.leaves()
    }
    return bool(typed.get(NUM_THREADS, AUTO) == AUTO)
