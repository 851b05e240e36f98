"""What a refresh trains, from which weights, and by what it is judged."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqtune.core.checkpoint import MANIFEST, open_checkpoint
from seqtune.core.config import RefreshConfig, RunConfig, fingerprint
from seqtune.core.errors import ConfigurationError, did_you_mean
from seqtune.core.metrics import values_of
from seqtune.core.parameters import IGNORE, TaskParameters
from seqtune.core.resolve import Resolved, flatten
from seqtune.core.task import OURS, TaskSpec, TrainingData

from .._best_config import read_best_config
from .._resolution import EPOCHS, resolve_run
from .._versions import versions_folder

START_FROM = "training.start_from"
LR = "training.lr"
MODEL = "model"
VALID = "valid"
SHARE_OF_EPOCHS = 0.25
BEFORE = "the checkpoint before"

logger = logging.getLogger(__name__)


def previous_checkpoint(newest: Path | None, settings: RefreshConfig, *, task: str) -> Path:
    """Return the newest checkpoint, or the version to roll back to."""
    if newest is None:
        raise ConfigurationError(
            f"there is no checkpoint of {task} to start from; train one first (kedro run "
            f"--pipelines {task}.ingest,{task}.split,{task}.train)"
        )
    wanted, versions = settings.rollback_to, versions_folder(newest)
    if wanted is None:
        return newest
    folder = versions / wanted / newest.name
    if not (folder / MANIFEST).is_file():
        known = sorted(path.parent.name for path in versions.glob(f"*/{newest.name}"))
        raise ConfigurationError(
            f"refresh.rollback_to={wanted!r} is not a version of {task}.checkpoint; "
            f"{did_you_mean(wanted, known)} (the newest: {known[-1]})"
        )
    return folder


@dataclass(frozen=True)
class Update:
    """A model brought up to date with new data."""

    task: TaskSpec
    resolved: Resolved[Any]
    data: TrainingData
    previous: Path
    is_rollback: bool

    @property
    def metric(self) -> str:
        return str(self.resolved.config.training.monitor).removeprefix("val_")

    @cached_property
    def is_unchanged(self) -> bool:
        """Whether the checkpoint before was trained on these very data."""
        before = open_checkpoint(self.previous).manifest.data_hash
        return before == self.data.content_hash and not self.is_rollback

    def carry_over(self, directory: Path) -> Path:
        """Write the model before as a checkpoint of these data, untrained on what is new."""
        from seqtune.training import carry_over

        config = self.resolved.config
        run = fingerprint(config, data_hash=self.data.content_hash)
        return carry_over(self.task, config, self.data, directory=directory, fingerprint=run)

    def score(self, checkpoint: Path) -> float:
        """Return the monitored metric on valid."""
        report = self.task.evaluate(checkpoint, self.data, parts=(VALID,))
        return values_of(report, VALID, self.metric).get(OURS, math.nan)

    def score_of_training(self, checkpoint: Path) -> float:
        """Return that metric as training measured it."""
        score = open_checkpoint(checkpoint).manifest.score
        return math.nan if score is None else score

    def is_worse(self, one: float, other: float) -> bool:
        return one > other if self.resolved.config.training.monitor_mode == "min" else one < other

    def describe(self, published: str, valid: Mapping[str, float]) -> str:
        """Say in one line what was published, and why."""
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in valid.items())
        measured = f"{self.metric} on the new valid: {numbers}"
        version = self.previous.parent.name
        return {
            "unchanged": f"the data are those that {version} was trained on: published again as is",
            "rolled back": f"{version} is published again, for the new data; {measured}",
            "kept": f"the model before was better and stays, for the new data; {measured}",
            "refreshed": f"trained on from {version} and published; {measured}",
        }[published]


def plan_update(
    task: TaskSpec,
    parameters: TaskParameters,
    settings: RefreshConfig,
    data: TrainingData,
    previous: Path,
    found: dict[str, Any] | None,
) -> Update:
    """Settle the configuration: what `train` would run now, with the model before, and shorter."""
    _require_comparable(task, data, previous)
    best = None
    if parameters.best_config != IGNORE:
        best = read_best_config(found, task=task.name)
    resolved = resolve_run(task, parameters, data, layer=best.layer if best else None)
    resolved = _with_model_of(previous, resolved)
    training = resolved.config.training
    epochs = settings.epochs
    if epochs == "auto":
        epochs = max(1, round(SHARE_OF_EPOCHS * training.epochs))
    values = {EPOCHS: epochs, LR: training.lr * settings.lr_factor, START_FROM: str(previous)}
    for key, value in values.items():
        resolved = resolved.replace(key, value, origin="refresh")
    return Update(task, resolved, data, previous, is_rollback=settings.rollback_to is not None)


def _require_comparable(task: TaskSpec, data: TrainingData, previous: Path) -> None:
    """Refuse data, or a model, for which valid says nothing."""
    before = open_checkpoint(previous).manifest
    if data.has_validation and before.score is None and before.epochs_planned:
        raise ConfigurationError(
            f"{previous} was trained on everything (split.use_full_data), the new valid part "
            f"included, so that a comparison would say nothing; train {task.name} again, or roll "
            "back to a version with validation (refresh.rollback_to)"
        )
    if not data.has_validation:
        raise ConfigurationError(
            f"{task.name}.split.use_full_data=true holds out nothing to compare the models on; "
            "refresh without it"
        )


def _with_model_of(previous: Path, resolved: Resolved[Any]) -> Resolved[Any]:
    """Keep the model of the checkpoint, and say what `train` would have taken."""
    from seqtune.inference import read_checkpoint_config

    config: RunConfig = resolved.config
    _, before = read_checkpoint_config(previous, type(config), task=config.task)
    model = getattr(before, MODEL)
    was, now = (dict(flatten(each.model_dump())) for each in (model, getattr(config, MODEL)))
    changed = [
        f"{key}={value!r} (not {now.get(key)!r})"
        for key, value in was.items()
        if value != now.get(key)
    ]
    if changed:
        logger.warning(
            "the model stays as it was trained: %s; to change it, run train", ", ".join(changed)
        )
    origins = {**resolved.origins, **{f"{MODEL}.{key}": BEFORE for key in was}}
    return Resolved(config.model_copy(update={MODEL: model}), origins)
