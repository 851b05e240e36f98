"""The one way from parameters to a configuration that runs, for a trial and for the final run.

Tuning and training differ in a single layer: the parameters of a trial, or the best ones.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from seqtune.core.config import RunConfig, fingerprint
from seqtune.core.errors import ConfigurationError, did_you_mean
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
) -> Resolved[Any]:
    """Settle every value of the configuration."""
    from seqtune.training import resolve_auto

    facts = task.describe_data(data) if task.describe_data else None
    resolved = resolve_auto(parameters.resolve(facts, best=layer))
    if task.resolve_auto is not None:
        resolved = task.resolve_auto(resolved, data)
    require_made_with(resolved.config, data.made_with, what="the split")
    if data.has_validation:
        require_metric(task, resolved.config)
    return resolved


def require_metric(task: TaskSpec, config: RunConfig) -> None:
    """Refuse to monitor what is never logged, or in the wrong direction."""
    training, known = config.training, task.metrics(config) if task.metrics else {}
    better = known.get(training.monitor)
    if known and better is None:
        raise ConfigurationError(
            f"{task.name}.training.monitor={training.monitor!r} is not a metric of this training; "
            f"{did_you_mean(training.monitor, known)}"
        )
    if better and better != training.monitor_mode:
        raise ConfigurationError(
            f"{task.name}.training.monitor_mode={training.monitor_mode}, but for "
            f"{training.monitor} {'higher' if better == 'max' else 'lower'} is better; set it to "
            f"{better}"
        )


def resolve_trial(
    task: TaskSpec,
    parameters: TaskParameters,
    data: TrainingData,
    *,
    params: Params,
    epochs: int,
    origin: str = "tuning",
) -> Resolved[Any]:
    """Resolve the configuration of a trial: one thread per worker unless a number was set.

    The seed of a trial that compares seeds overrides one from the command line.
    """
    if SEED in params:
        runtime = parameters.runtime
        kept = {key: value for key, value, _ in runtime.leaves() if key != SEED}
        parameters = parameters._replace(runtime=replace(runtime, values=unflatten(kept)))
    values: dict[str, Any] = {EPOCHS: epochs, **params}
    given = {k: v for lay in (parameters.files, parameters.runtime) for k, v, _ in lay.leaves()}
    if given.get(NUM_THREADS, AUTO) == AUTO:
        values[NUM_THREADS] = THREADS_OF_A_WORKER
    layer = Layer(origin, unflatten(values))
    return resolve_run(task, parameters, data, layer=layer)


def training_fingerprint(task: TaskSpec, config: RunConfig, data: TrainingData) -> tuple[Any, str]:
    """Reset what training never reads to its default; return the result and its fingerprint.

    Two configurations with the same fingerprint train the same weights.
    """
    fields = type(config).model_fields
    defaults = {
        name: fields[name].get_default(call_default_factory=True) for name in task.after_training
    }
    read = config.model_copy(update=defaults)
    return read, fingerprint(read, data_hash=data.content_hash)


def warn_of_other_data(verified: Report, data: TrainingData, *, task: str) -> None:
    """Warn if the verify_env report, which a partial run only loads, is of an earlier split."""
    if verified["data_hash"] != data.content_hash:
        logger.warning(
            "%s.verify_report belongs to other data; run `kedro run --pipelines %s.verify_env` "
            "to verify these",
            task,
            task,
        )


def trial_values(resolved: Resolved[Any], params: Params) -> dict[str, Any]:
    """Return what training needs to run the same, nested as in the task's configuration."""
    training = resolved.config.training
    settled = {EPOCHS: training.epochs, NUM_THREADS: training.num_threads}
    return unflatten({**params, **settled})
