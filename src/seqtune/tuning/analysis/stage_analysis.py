"""The findings of a stage as plain values: for its report, its figures and YAML."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from seqtune.core.resolve import unflatten
from seqtune.core.trials import Params, Trial, ranked

from ..spaces.space import Parameter, Space
from .importance import Importance
from .overfitting import Finding, check_overfitting, gap, regularisation
from .param_stats import Mode, band, bounds, counts, top_trials
from .robust_config import NUM_ROBUST, robust_config

NUM_SHARED = 10
"""Number of best trials compared for what they share."""
SHARED_CHOICE = 0.7
SHARED_VARIATION = 0.2
TOP_SHARE = 0.2
MIN_HAVING = 3
"""Fewer trials share everything."""


@dataclass(frozen=True)
class Analysis:
    """The findings of one stage; `as_dict` is JSON."""

    metric: str
    mode: Mode
    counts: Mapping[str, int]
    """Trials by state."""
    reasons: tuple[Mapping[str, Any], ...]
    """state, reason, num: why trials were pruned, refused, failed or lost; most frequent first."""
    best: Mapping[str, Any] | None
    """The first row of `top`."""
    top: tuple[Mapping[str, Any], ...]
    importance: Mapping[str, Any]
    regularisation: tuple[Mapping[str, Any], ...]
    overfitting: tuple[Mapping[str, Any], ...]
    """level (ok, warn, bad, unknown), key, text."""
    shared: tuple[Mapping[str, Any], ...]
    """What the best ten have in common."""
    best_config: Mapping[str, Any] = field(default_factory=dict)
    """Searched values of the best trial, nested as in YAML."""
    robust_config: Mapping[str, Any] = field(default_factory=dict)
    """Mean of the top five, likewise."""
    headline: tuple[str, ...] = ()
    """The lines to read first."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; infinity and NaN become null."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def analyse(
    trials: Sequence[Trial],
    *,
    space: Space,
    metric: str,
    mode: Mode,
    importance: Importance,
    top: int = 10,
    top_share: float = TOP_SHARE,
    training_values: Params | None = None,
    train_metric: str | None = None,
) -> Analysis:
    """Analyse the trials of one stage.

    `training_values` are the configuration's values by dotted key, for parameters that a trial did
    not search. `train_metric` is the train side of `metric` if not `train_*` of `val_*`.
    """
    done = ranked(trials, mode=mode)
    rows = [
        _row(rank, trial, metric=metric, mode=mode, train_metric=train_metric)
        for rank, trial in enumerate(done[:top], start=1)
    ]
    findings = [
        finding
        for best in done[:1]
        for finding in check_overfitting(
            best,
            space=space,
            metric=metric,
            mode=mode,
            training_values=training_values or {},
            train_metric=train_metric,
        )
    ]
    shared = [row for p in space.parameters if (row := _shared(p, done[:NUM_SHARED]))]
    robust = robust_config(trials, space=space, mode=mode)
    return Analysis(
        metric=metric,
        mode=mode,
        counts=dict(sorted(Counter(trial.state for trial in trials).items())),
        reasons=tuple(_reasons(trials)),
        best=rows[0] if rows else None,
        top=tuple(rows),
        importance=asdict(importance),
        regularisation=tuple(
            regularisation(trials, top_trials(trials, share=top_share, mode=mode), space)
        ),
        overfitting=tuple(finding._asdict() for finding in findings),
        shared=tuple(shared),
        best_config=unflatten(dict(done[0].params)) if done else {},
        robust_config=unflatten(robust),
        headline=tuple(_headline(trials, done, metric, importance, findings, robust)),
    )


def _row(
    rank: int, trial: Trial, *, metric: str, mode: Mode, train_metric: str | None
) -> dict[str, Any]:
    best: Any = max if mode == "max" else min
    return {
        "rank": rank,
        "trial": trial.number,
        "score": trial.score,
        "gap": gap(trial, metric=metric, mode=mode, train_metric=train_metric),
        "best_epoch": best(trial.curve, key=trial.curve.__getitem__, default=None),
        "epochs": trial.num_epochs,
        "seconds": trial.seconds,
        "params": dict(trial.params),
        "metrics": dict(trial.metrics),
    }


def _reasons(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    found = Counter((trial.state, trial.reason) for trial in trials if trial.reason)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [{"state": state, "reason": reason, "num": num} for (state, reason), num in ordered]


def _shared(parameter: Parameter, best: Sequence[Trial]) -> dict[str, Any] | None:
    """Make a row if the best trials agree on this parameter; `by_chance` is what chance gives."""
    having = [trial for trial in best if parameter.key in trial.params]
    if len(having) < MIN_HAVING or parameter.is_single:
        return None
    describe = _shared_choice if parameter.kind == "categorical" else _shared_value
    return describe(parameter, having)


def _shared_choice(parameter: Parameter, having: Sequence[Trial]) -> dict[str, Any] | None:
    choice, num = max(counts(having, parameter).items(), key=lambda item: item[1])
    if num <= SHARED_CHOICE * len(having):
        return None
    chance = 1 / len(parameter.choices)
    return {
        "parameter": parameter.key,
        "value": choice,
        "num": num,
        "of": len(having),
        "variation": None,
        "by_chance": chance,
        "text": f"{num} of the best {len(having)} have {choice} (by chance {chance:.0%} would)",
    }


def _shared_value(parameter: Parameter, having: Sequence[Trial]) -> dict[str, Any] | None:
    seen = band(having, parameter)
    variation = _variation(seen.values) if seen else None
    if seen is None or variation is None or variation >= SHARED_VARIATION:
        return None
    low, high = bounds(parameter)
    steps = [low + (high - low) * share / 20 for share in range(21)]
    if parameter.log:
        steps = [low * (high / low) ** (share / 20) for share in range(21)]
    chance = _variation(steps) or 0.0
    text = f"the best {len(having)} vary by {variation:.0%} around {seen.mean:.4g}"
    telling = "" if variation < chance / 2 else "; its range alone would give as little"
    return {
        "parameter": parameter.key,
        "value": seen.mean,
        "num": len(having),
        "of": len(having),
        "variation": variation,
        "by_chance": chance,
        "text": f"{text} (drawn evenly from its range they would by {chance:.0%}{telling})",
    }


def _variation(values: Sequence[float]) -> float | None:
    """Return the coefficient of variation; None around 0."""
    mean = math.fsum(values) / len(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return spread / abs(mean) if mean else (0.0 if not spread else None)


def _headline(
    trials: Sequence[Trial],
    done: Sequence[Trial],
    metric: str,
    importance: Importance,
    findings: Sequence[Finding],
    robust: Params,
) -> list[str]:
    states = Counter(trial.state for trial in trials)
    numbers = ", ".join(f"{num} {state}" for state, num in sorted(states.items()))
    if not done:
        return [f"no trial is complete ({numbers or 'none was run'})"]
    best = done[0]
    value = best.metrics.get(metric, best.score)
    less = "" if value == best.score else f", score {best.score:.4f}"
    lines = [f"best {metric} {value:.4f}{less} (trial {best.number}; {numbers})"]
    leading = [f"{key} {share:.2f}" for key, share in importance.values.items() if share][:3]
    if leading:
        doubt = " (noise: " + importance.note + ")" if importance.is_noise else ""
        lines.append(f"most important: {', '.join(leading)}{doubt}")
    lines += [
        f"{found.level}: {found.text}" for found in findings if found.level in ("warn", "bad")
    ]
    if robust and not any(one.is_finished and dict(one.params) == robust for one in trials):
        lines.append(
            f"the robust configuration is the mean of the best {min(NUM_ROBUST, len(done))}; it "
            "was never trained as such"
        )
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
