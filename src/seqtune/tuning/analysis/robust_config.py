"""Average the best few trials into one configuration, with less luck than the single best."""

from __future__ import annotations

from collections.abc import Sequence

from seqtune.core.trials import Trial, Value, ranked

from ..spaces.space import Parameter, Space
from .param_stats import Mode, band, counts, nearest

NUM_ROBUST = 5
"""Number of best trials in the mean."""


def robust_config(
    trials: Sequence[Trial], *, space: Space, mode: Mode, num: int = NUM_ROBUST
) -> dict[str, Value]:
    """Average the best trials: geometric for log, the most frequent choice, on the grid.

    A conditional parameter is the mean over those of the best trials that had it, or else the value
    of the best trial that did. The result was never trained: the task must check its shapes.
    """
    done = ranked(trials, mode=mode)
    values: dict[str, Value] = {}
    for parameter in space.parameters if done else ():
        if parameter.exists(values):
            values |= _centre(parameter, done, num)
    return values


def _centre(parameter: Parameter, done: Sequence[Trial], num: int) -> dict[str, Value]:
    if parameter.is_single:
        return {parameter.key: parameter.only_value}
    having = [trial for trial in done[:num] if parameter.key in trial.params]
    having = having or [trial for trial in done if parameter.key in trial.params][:1]
    if not having:
        return {}
    if parameter.kind == "categorical":
        return {parameter.key: _most_frequent(parameter, having)}
    seen = band(having, parameter)
    return {} if seen is None else {parameter.key: nearest(float(f"{seen.mean:.6g}"), parameter)}


def _most_frequent(parameter: Parameter, having: Sequence[Trial]) -> Value:
    """Return the most frequent choice; of equally frequent ones that of the better trial."""
    found = counts(having, parameter)
    most = max(found.values())
    return next(
        (value for trial in having if found.get(value := trial.params[parameter.key]) == most),
        having[0].params[parameter.key],
    )
