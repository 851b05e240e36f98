"""From trials to the configuration that training uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from seqtune.core.config import fingerprint, library_versions
from seqtune.core.errors import InfeasibleError
from seqtune.core.resolve import flatten
from seqtune.core.task import Report
from seqtune.core.trials import Trial, ranked

from .._best_config import BestConfig
from .._resolution import trial_values
from .objective import BEST_EPOCH, TrainTrial
from .search import Search
from .tables import plain

MAX_TOP = 10
"""How many configurations are kept, the best one included."""


def describe_best(
    search: Search, trial: Trial, objective: TrainTrial, *, chosen: str
) -> dict[str, Any]:
    """Describe the best configuration: values, origins, environment, and why it was chosen."""
    data = search.task.open_data(search.split)
    resolved = objective.resolve(trial.params, data)
    best = BestConfig(
        task=search.task.name,
        values=trial_values(resolved, trial.params),
        metric=search.scoring.first.metric,
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
        versions=library_versions(resolved.config.libraries),
        fingerprint=fingerprint(resolved.config, data_hash=data.content_hash),
    )
    return plain(best.model_dump(mode="json"))


def in_order(
    trials: Sequence[Trial],
    first: Trial,
    reranked: Report,
    *,
    chosen: str,
    mode: Literal["max", "min"],
) -> list[tuple[Trial, str]]:
    """Order the trials: the chosen one, the re-ranked ones by mean over fresh seeds, the rest.

    Each configuration appears once, with the reason for its place; `chosen` is the first reason.
    """
    best_first = ranked(trials, mode=mode)
    rows = [row for row in reranked.get("rows", ()) if row["mean"] is not None]
    again = [
        (trial, f"mean {row['mean']:.4f} over {row['num']} fresh seeds")
        for row in rows
        for trial in best_first
        if (trial.number, dict(trial.params)) == (row["trial"], row["params"])
    ]
    rest = [(trial, f"score {trial.score:.4f} in {trial.study}") for trial in best_first]
    placed: dict[tuple[tuple[str, Any], ...], tuple[Trial, str]] = {}
    for trial, why in [(first, chosen), *again, *rest]:
        placed.setdefault(tuple(sorted(trial.params.items())), (trial, why))
    return list(placed.values())


def describe_robust(
    search: Search, values: Mapping[str, Any], objective: TrainTrial
) -> dict[str, Any]:
    """Describe the mean of the best trials, and whether that configuration can be built."""
    params = dict(flatten(values))
    try:
        objective.resolve(params, search.task.open_data(search.split))
        note = "never trained itself; copy its values to conf/local to try it"
    except InfeasibleError as error:
        note = f"it cannot be built: {error}"
    return plain(
        {"made_of": f"the best trials of {objective.stage}", "note": note, "values": values}
    )
