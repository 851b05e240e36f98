"""What stops a trial that is not worth its remaining epochs.

A decision is a function of curves alone: the trial's own and those of the others. It leaves nothing
behind in the study, so a trial that goes on after a kill is judged as if nothing had happened.
Epochs count from 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from optuna.trial import TrialState

from seqtune.contracts.seeds import derive_seed

from ..config import PrunerConfig, PrunerKind
from ..studies.records import root_number

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Curve = Mapping[int, float]
Mode = Literal["max", "min"]


@dataclass(frozen=True)
class Pruner:
    """One kind with its warm-up, in which no trial is ever pruned."""

    config: PrunerConfig
    epochs: int
    mode: Mode

    @property
    def warmup(self) -> int:
        """Epochs that every trial gets."""
        return max(self.config.warmup_epochs, math.ceil(self.config.warmup_share * self.epochs))

    def judges(self, epoch: int) -> bool:
        """Whether a trial may be stopped there: neither in the warm-up nor where it ends anyway."""
        return self.config.kind != "none" and self.warmup < epoch < self.epochs

    def reason(self, curve: Curve, others: Sequence[FrozenTrial], *, root: int) -> str:
        """Why the trial with this curve should stop now; empty: it goes on.

        `others` are the other trials of the study, `root` the number that the trial had at first.
        """
        epoch = max(curve, default=0)
        if not self.judges(epoch):
            return ""
        why = _KINDS[self.config.kind](_Case(self, curve, others, root))
        return why and f"epoch {epoch}: {why}"


def build_pruner(config: PrunerConfig, *, epochs: int, mode: Mode) -> Pruner:
    """The pruner of a study whose trials train for so many epochs."""
    return Pruner(config, epochs, mode)


@dataclass(frozen=True)
class _Case:
    """A trial that has reported an epoch, and what it is judged by."""

    pruner: Pruner
    curve: Curve
    others: Sequence[FrozenTrial]
    root: int

    @property
    def config(self) -> PrunerConfig:
        return self.pruner.config

    @property
    def maximize(self) -> bool:
        return self.pruner.mode == "max"

    @property
    def complete(self) -> list[FrozenTrial]:
        """Empty while there are fewer than the startup trials."""
        found = [one for one in self.others if one.state is TrialState.COMPLETE]
        return found if len(found) >= self.config.startup_trials else []

    @property
    def is_check(self) -> bool:
        """Whether the newest epoch is the first of its interval after the warm-up."""
        *_, before, now = 0, 0, *sorted(self.curve)
        first, interval = self.pruner.warmup + 1, self.config.interval
        return before < first or (now - first) // interval > (before - first) // interval

    def best(self, values: Iterable[float]) -> float:
        """NaN where none is a number."""
        known = [value for value in values if not math.isnan(value)]
        return (max if self.maximize else min)(known, default=math.nan)

    def behind(self, value: float, bar: float, name: str) -> str:
        """Says so where the value is worse than the bar."""
        if math.isnan(value):
            return "no epoch gave a number"
        if value >= bar if self.maximize else value <= bar:
            return ""
        return f"{value:.6g}, {abs(value - bar):.3g} behind {name} of {bar:.6g}"


# ---- against a percentile of the complete trials at the same epoch ------------------------------


def _percentile(case: _Case) -> str:
    share = case.config.percentile
    return _below(case, share, f"the best {share:g} %")


def _median(case: _Case) -> str:
    return _below(case, 50.0, "the median")


def _below(case: _Case, share: float, name: str) -> str:
    """The best so far against what `share` per cent of the complete trials had here."""
    epoch = max(case.curve)
    theirs = [one.intermediate_values.get(epoch, math.nan) for one in case.complete]
    theirs = [value for value in theirs if not math.isnan(value)]
    if not theirs or not case.is_check:
        return ""
    bar = float(np.percentile(theirs, 100 - share if case.maximize else share))
    return case.behind(case.best(case.curve.values()), bar, f"{name} of {len(theirs)} trials")


# ---- successive halving -------------------------------------------------------------------------


def _halving(case: _Case) -> str:
    return _at_a_rung(case, case.others, case.pruner.warmup + 1)


def _hyperband(case: _Case) -> str:
    """Halving in brackets that begin later and later; trials compete within their bracket."""
    first, factor = case.pruner.warmup + 1, case.config.reduction_factor
    number = _num_brackets(first, case.pruner.epochs, factor)
    own = _bracket(case.root, number, factor)
    rivals = [one for one in case.others if _bracket(root_number(one), number, factor) == own]
    return _at_a_rung(case, rivals, first * factor**own)


def _num_brackets(first: int, epochs: int, factor: int) -> int:
    number = 1
    while first * factor**number <= epochs:
        number += 1
    return number


def _bracket(root: int, number: int, factor: int) -> int:
    """By the share of trials that each bracket should get; the earliest gets the most."""
    shares = [math.ceil(number * factor**left / (left + 1)) for left in reversed(range(number))]
    place = derive_seed(0, "bracket", root) % sum(shares)
    return next(i for i in range(number) if place < sum(shares[: i + 1]))


def _at_a_rung(case: _Case, rivals: Sequence[FrozenTrial], first_rung: int) -> str:
    """Asynchronous: compared with whoever has come that far, once at each rung."""
    factor = case.config.reduction_factor
    rung = _new_rung(case.curve, first_rung, factor)
    if rung is None:
        return ""
    curves = [case.curve, *(one.intermediate_values for one in rivals if one.state in RIVALS)]
    values = [value for curve in curves if (value := _value_at(case, curve, rung)) is not None]
    known = sorted((v for v in values if not math.isnan(v)), reverse=case.maximize)
    bar = known[max(len(known) // factor, 1) - 1] if known else math.nan
    return case.behind(values[0], bar, f"what 1 of {factor} had at epoch {rung}")


RIVALS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
"""Not lost ones: they are run again, and would compete twice."""


def _new_rung(curve: Curve, rung: int, factor: int) -> int | None:
    """The rung that the newest epoch has reached, and the one before it had not."""
    *_, before, now = 0, 0, *sorted(curve)
    found = None
    while rung <= now:
        found = rung if rung > before else None
        rung *= factor
    return found


def _value_at(case: _Case, curve: Curve, rung: int) -> float | None:
    """The best up to the first epoch at or after the rung; None: it has not come that far."""
    reached = min((epoch for epoch in curve if epoch >= rung), default=None)
    if reached is None:
        return None
    return case.best(value for epoch, value in curve.items() if epoch <= reached)


# ---- against the best trial, and against itself -------------------------------------------------


def _wilcoxon(case: _Case) -> str:
    """Whether the curve lies below that of the best trial, epoch by epoch.

    Epochs of one training are no independent samples: `p_threshold` is a knob and not an error
    rate, and whatever lies below the best curve all along is stopped. For trials whose steps are
    folds or seeds it is exact.
    """
    from scipy.stats import wilcoxon

    measured = [one for one in case.complete if one.intermediate_values and one.values]
    if not measured or not case.is_check:
        return ""
    sign = -1.0 if case.maximize else 1.0
    best = min(measured, key=lambda one: sign * one.values[0])
    differences = [
        value - best.intermediate_values[epoch]
        for epoch, value in sorted(case.curve.items())
        if epoch in best.intermediate_values
    ]
    differences = [value for value in differences if math.isfinite(value)]
    if len(differences) < MIN_PAIRS:
        return ""
    side = "less" if case.maximize else "greater"
    p = float(wilcoxon(differences, alternative=side, zero_method="zsplit").pvalue)
    if not p < case.config.p_threshold:
        return ""
    return f"worse than the best trial ({best.number}) in {len(differences)} epochs (p={p:.3g})"


MIN_PAIRS = 2


def _patience(case: _Case) -> str:
    """Epochs since its own best."""
    best = case.best(case.curve.values())
    if math.isnan(best):
        return "no epoch gave a number"
    since = min(epoch for epoch, value in case.curve.items() if value == best)
    waited = max(case.curve) - since
    if waited < case.config.patience:
        return ""
    return f"no improvement for {waited} epochs (best {best:.6g} at epoch {since})"


_KINDS: dict[PrunerKind, Callable[[_Case], str]] = {
    "auto": _median,  # where nobody has settled it by the sampler
    "median": _median,
    "percentile": _percentile,
    "halving": _halving,
    "hyperband": _hyperband,
    "wilcoxon": _wilcoxon,
    "patience": _patience,
    "none": lambda _case: "",
}
