"""Signs of overfitting in the best trials of a search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from seqtune.core.trials import Params, Trial, Value

from ..spaces.space import Parameter, Space
from .param_stats import Interval, Mode, band, finished

GAP_WARN = 0.02
GAP_BAD = 0.03
"""Train metric minus valid metric at the best epoch."""
PREFERENCE = 0.1
"""A smaller shift of the top trials' mean, as a share of the range, is not a preference."""


class Finding(NamedTuple):
    """One check: its level, what was checked, and what to do."""

    level: str
    """ok, warn, bad, or unknown."""
    key: str
    text: str


def train_metric_of(metric: str) -> str:
    """Replace `val_` by `train_`."""
    return f"train_{metric.removeprefix('val_')}"


def gap(trial: Trial, *, metric: str, mode: Mode, train_metric: str | None = None) -> float | None:
    """Return how much better the trial is on the training data; None if not measured."""
    train = trial.metrics.get(train_metric or train_metric_of(metric))
    valid = trial.metrics.get(metric)
    if train is None or valid is None or not math.isfinite(train - valid):
        return None
    return train - valid if mode == "max" else valid - train


def check_overfitting(
    best: Trial,
    *,
    space: Space,
    metric: str,
    mode: Mode,
    training_values: Params,
    train_metric: str | None = None,
) -> list[Finding]:
    """Check the best trial against floors and warnings of the space, and its gap."""
    values = {**training_values, **best.params}
    train = train_metric or train_metric_of(metric)
    findings = [one for p in space.parameters for one in _check_limits(p, values.get(p.key))]
    value = gap(best, metric=metric, mode=mode, train_metric=train_metric)
    return [*findings, _check_gap(value, train, metric)]


def _check_limits(parameter: Parameter, value: Value) -> Iterator[Finding]:
    """Check a value against `warn_below` (or else the floor) and `warn_above`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    least = parameter.floor if parameter.warn_below is None else parameter.warn_below
    most = parameter.warn_above
    shown = f"{parameter.key}={value:.4g}"
    if least is not None and value < least:
        text = "so little regularisation tends to overfit in longer training; raise its lower bound"
        yield Finding("warn", parameter.key, f"{shown} is below {least:g}: {text}")
    elif most is not None and value > most:
        text = "confirm it against a smaller value over several seeds before keeping it"
        yield Finding("warn", parameter.key, f"{shown} is above {most:g}: {text}")
    elif least is not None or most is not None:
        yield Finding("ok", parameter.key, f"{shown} is within its limits")


def _check_gap(value: float | None, train: str, metric: str) -> Finding:
    key = f"{train} - {metric}"
    if value is None:
        return Finding("unknown", key, f"{train} or {metric} was not measured: the gap is unknown")
    if value > GAP_BAD:
        text = f"gap {value:.4f} is above {GAP_BAD}: a bad sign; more dropout or weight decay, or "
        return Finding("bad", key, text + "switch on tuning.gap_penalty")
    if value > GAP_WARN:
        text = f"gap {value:.4f} is above {GAP_WARN}: watch it; tuning.gap_penalty would take half "
        return Finding("warn", key, text + "of it from the score")
    return Finding("ok", key, f"gap {value:.4f} is not above {GAP_WARN}")


def regularisation(
    trials: Sequence[Trial], top: Sequence[Trial], space: Space
) -> list[dict[str, Any]]:
    """Make one row for each parameter with a floor or a warning, with a recommendation."""
    rows = []
    for parameter in space.parameters:
        limits = {"floor": parameter.floor, "warn_below": parameter.warn_below}
        limits["warn_above"] = parameter.warn_above
        overall, best = band(finished(trials), parameter), band(top, parameter)
        if overall is None or best is None or all(limit is None for limit in limits.values()):
            continue
        rows.append(
            {
                "parameter": parameter.key,
                **limits,
                "overall_min": overall.low,
                "overall_mean": overall.mean,
                "overall_max": overall.high,
                "top_min": best.low,
                "top_mean": best.mean,
                "recommendation": _recommendation(parameter, overall, best),
            }
        )
    return rows


def _recommendation(parameter: Parameter, overall: Interval, best: Interval) -> str:
    least = parameter.warn_below if parameter.floor is None else parameter.floor
    floor, most = -math.inf if least is None else least, parameter.warn_above
    preference = _preference(overall, best)
    if best.mean < floor:
        return (
            f"{preference}; their mean is under {floor:g}: stay at {floor:g} or above all the same"
        )
    if best.low < floor:
        return f"{preference}; some lie under {floor:g}: search from {floor:g} upwards"
    if most is not None and best.high > most:
        return f"{preference}; some lie above {most:g}: confirm those over several seeds"
    return preference


def _preference(overall: Interval, best: Interval) -> str:
    shift = best.mean - overall.mean
    means = f"(mean {best.mean:.4g} against {overall.mean:.4g} over all)"
    if abs(shift) <= PREFERENCE * (overall.high - overall.low):
        return f"the best have no preference {means}"
    return f"the best prefer {'more' if shift > 0 else 'less'} {means}"
