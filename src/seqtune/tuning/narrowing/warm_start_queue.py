"""Queue the best configurations of one stage for the next, whose space differs."""

from __future__ import annotations

from collections.abc import Sequence

from seqtune.core.format import format_value
from seqtune.core.trials import Params, Trial, Value, ranked

from ..analysis.param_stats import Mode, nearest
from ..spaces.space import Parameter, Space


def carried_over(
    trials: Sequence[Trial], space: Space, *, num: int, mode: Mode
) -> tuple[list[Params], list[str]]:
    """Return the best `num` configurations moved into the other space, and notes on changes."""
    queue: list[Params] = []
    notes: list[str] = []
    for trial in ranked(trials, mode=mode):
        if len(queue) >= num:
            break
        params = moved(trial.params, space)
        if params and params not in queue:
            queue.append(params)
            changed = [
                f"{key} {format_value(before)} -> "
                f"{format_value(params.get(key, 'left to the sampler'))}"
                for key, before in trial.params.items()
                if params.get(key) != before
            ]
            if changed:
                notes.append(
                    f"queued trial {trial.number} in the narrowed space: {', '.join(changed)}"
                )
    return queue, notes


def moved(params: Params, space: Space) -> dict[str, Value]:
    """Return the nearest configuration of the space.

    A number becomes the nearest legal one, a fixed parameter takes its value, and a parameter that
    does not exist there is dropped. The sampler replaces a choice that is gone.
    """
    values: dict[str, Value] = {}
    for parameter in space.parameters:
        if parameter.exists(values):
            values |= _moved_value(parameter, params)
    return values


def _moved_value(parameter: Parameter, params: Params) -> dict[str, Value]:
    if parameter.is_single:
        return {parameter.key: parameter.only_value}
    value = params.get(parameter.key)
    if parameter.contains(value):
        return {parameter.key: parameter.canonical(value)}
    if parameter.kind == "categorical" or not isinstance(value, int | float):
        return {}
    return {parameter.key: nearest(value, parameter)}
