"""Importance: how much each parameter decides whether a configuration is among the best."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seqtune.core.trials import Trial

from ..sampling.registry import SAMPLERS
from ..spaces.space import Space
from .param_stats import Mode, finished

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MIN_TRIALS = 25
"""With fewer finished trials an importance is noise."""
MIN_TOP = 5
"""Smallest number of best trials for the method."""
TOP_QUANTILE = 0.1
METHOD = "PED-ANOVA"


@dataclass(frozen=True)
class Importance:
    """Shares that sum to 1, or are all 0 if they are unknown."""

    values: Mapping[str, float] = field(default_factory=dict)
    """Every parameter of the space, the most important first."""
    method: str = METHOD
    num_trials: int = 0
    is_noise: bool = True
    """Whether nothing should be fixed or dropped because of these values."""
    note: str = ""


def importance(
    trials: Sequence[Trial], space: Space, *, mode: Mode, sampler: str = ""
) -> Importance:
    """Compute PED-ANOVA over the finished trials: how far the best tenth differs from all.

    Pruned trials are never among the best. A conditional parameter counts where it exists; one with
    a single value has 0. With trials of a model-based `sampler`, importances are near chance.
    """
    used = [t for t in finished(trials) if t.score is not None and math.isfinite(t.score)]
    num_complete = sum(t.state == "complete" for t in used)
    values = dict.fromkeys(space.keys, 0.0)
    if num_complete >= 2:
        values |= _evaluated(used, space, mode=mode)
    total = sum(values.values())
    shares = {key: value / total if total else 0.0 for key, value in values.items()}
    reasons = _doubts(len(used), num_complete, sampler, total)
    return Importance(
        values=dict(sorted(shares.items(), key=lambda item: -item[1])),
        num_trials=len(used),
        is_noise=bool(reasons),
        note="; ".join(reasons) or f"{METHOD} over {len(used)} finished trials",
    )


def _doubts(num_used: int, num_complete: int, sampler: str, total: float) -> list[str]:
    """List the reasons not to rely on these values."""
    reasons = []
    if num_used < MIN_TRIALS:
        reasons.append(f"{num_used} finished trials are too few, {MIN_TRIALS} are needed")
    elif num_complete < 2 * MIN_TOP:
        reasons.append(f"only {num_complete} of {num_used} trials were not pruned")
    if sampler in SAMPLERS and SAMPLERS[sampler].is_model_based:
        reasons.append(
            f"the trials were proposed by {sampler}, which makes importances near chance; use a "
            "space-filling sampler (sobol) in this stage to rely on them"
        )
    if not total:
        reasons.append("no parameter separates the best trials from the others")
    return reasons


def _evaluated(used: Sequence[Trial], space: Space, *, mode: Mode) -> dict[str, float]:
    from optuna import create_study
    from optuna.importance import PedAnovaImportanceEvaluator

    from ..studies.storage import quiet_optuna

    frozen = [_frozen(trial, score, space) for trial, score in _levelled(used, mode=mode)]
    quantile = min(0.5, max(TOP_QUANTILE, MIN_TOP / len(used)))
    with quiet_optuna(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `_doubts` reports the same
        study = create_study(direction="maximize" if mode == "max" else "minimize")
        study.add_trials(frozen)
        present = sorted({key for trial in frozen for key in trial.params})
        evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
        return {
            key: float(value)
            for key, value in evaluator.evaluate(study, params=present).items()
            if math.isfinite(value)
        }


def _levelled(used: Sequence[Trial], *, mode: Mode) -> Iterator[tuple[Trial, float]]:
    """Yield each trial with its score; a pruned one is at most as good as any complete one."""
    worst_of = min if mode == "max" else max
    worst = worst_of(t.score or 0.0 for t in used if t.state == "complete")
    for trial in used:
        score = trial.score or 0.0
        yield trial, score if trial.state == "complete" else worst_of(score, worst)


def _frozen(trial: Trial, score: float, space: Space) -> FrozenTrial:
    """Convert a trial for Optuna, without values outside the space (of queued trials)."""
    from optuna.trial import create_trial

    known = [p for p in space.parameters if p.key in trial.params]
    legal = [p for p in known if p.contains(trial.params[p.key])]
    return create_trial(
        params={p.key: trial.params[p.key] for p in legal},
        distributions={p.key: p.distribution() for p in legal},
        value=score,
    )
