"""One configuration out of the best few: less luck in it than in the single best."""

from __future__ import annotations

from collections.abc import Sequence

from seqtune.core.trials import Params, Trial, Value, ranked

from ..spaces.space import Parameter, Space
from .param_stats import Mode, band, counts, nearest

NUM_ROBUST = 5
"""Best trials that it is the mean of."""


def robust_config(
    trials: Sequence[Trial], *, space: Space, mode: Mode, num: int = NUM_ROBUST
) -> dict[str, Value]:
    """The mean of the best trials: geometric for log, the most frequent of choices, on the grid.

    A conditional parameter is there if its condition holds: the mean over those of the best trials
    that had it, or else the value of the best trial of all that did. It was never run as such, and
    shapes that exclude each other are for the task to check.
    """
    done = ranked(trials, mode=mode)
    values: dict[str, Value] = {}
    for parameter in space.parameters if done else ():
        if parameter.exists(values):
            values |= _centre(parameter, done, num)
    return values


def is_among(params: Params, trials: Sequence[Trial]) -> bool:
    """Whether exactly this configuration was trained."""
    return any(dict(trial.params) == dict(params) for trial in trials if trial.is_finished)


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
    """Of equally frequent ones the one that the better trial took."""
    found = counts(having, parameter)
    most = max(found.values())
    return next(
        (value for trial in having if found.get(value := trial.params[parameter.key]) == most),
        having[0].params[parameter.key],
    )
