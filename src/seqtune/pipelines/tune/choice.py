"""From trials to the configuration that training takes over."""

from __future__ import annotations

from typing import Any

from seqtune.contracts.config import fingerprint, library_versions
from seqtune.contracts.trials import Trial

from .._best_config import BestConfig
from .._resolution import trial_values
from .objective import BEST_EPOCH, TrainTrial
from .stages import Search
from .tables import plain


def describe_best(
    search: Search, trial: Trial, objective: TrainTrial, *, chosen: str
) -> dict[str, Any]:
    """The best configuration, complete: values, origins, environment, and why this one."""
    data = search.task.open_data(search.split)
    resolved = objective.resolve(trial.params, data)
    best = BestConfig(
        task=search.task.name,
        values=trial_values(resolved, trial.params),
        metric=search.scoring().metric,
        score=trial.score or 0.0,
        metrics=dict(trial.metrics),
        best_epoch=int(trial.metrics[BEST_EPOCH]),
        study=trial.study,
        stage=objective.stage,
        trial=trial.number,
        chosen=chosen,
        searched=sorted(trial.params),
        environment=resolved.table(),
        data_hash=data.content_hash,
        versions=library_versions(),
        fingerprint=fingerprint(resolved.config, data_hash=data.content_hash),
    )
    result: dict[str, Any] = plain(best.model_dump(mode="json"))
    return result
