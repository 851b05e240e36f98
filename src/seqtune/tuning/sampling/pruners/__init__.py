"""Stop a trial that is not worth its remaining epochs.

A decision is a function of the curves of all trials, without state in the study: a trial that
resumes after a kill is judged as if it had never stopped. Epochs count from 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from ...config import PrunerConfig
from ...objectives.scoring import Mode
from ..registry import PRUNERS

Curve = Mapping[int, float]


@dataclass(frozen=True)
class Pruner:
    """One pruning rule with its warm-up, during which no trial is pruned."""

    config: PrunerConfig
    epochs: int
    mode: Mode

    @property
    def warmup(self) -> int:
        """Epochs that every trial gets."""
        return max(self.config.warmup_epochs, math.ceil(self.config.warmup_share * self.epochs))

    def judges(self, epoch: int) -> bool:
        """Whether a trial may be stopped there: after the warm-up and before its last epoch."""
        return self.config.kind != "none" and self.warmup < epoch < self.epochs

    def reason(
        self,
        curve: Curve,
        others: Sequence[FrozenTrial],
        *,
        root: int,
        goals: Sequence[float] = (),
    ) -> str:
        """Return why the trial with this curve should stop now; empty if it continues.

        `others` are the other trials of the study, `root` the first number of the trial, `goals`
        its objectives so far where there are several.
        """
        epoch = max(curve, default=0)
        if not self.judges(epoch):
            return ""
        kind = "median" if self.config.kind == "auto" else self.config.kind
        why = PRUNERS[kind].reason(Case(self, curve, others, root, goals))
        return why and f"epoch {epoch}: {why}"


@dataclass(frozen=True)
class Case:
    """A trial that has reported an epoch, and the trials it is compared with."""

    pruner: Pruner
    curve: Curve
    others: Sequence[FrozenTrial]
    root: int
    goals: Sequence[float] = ()
    """Several objectives so far; more is better."""

    @property
    def config(self) -> PrunerConfig:
        return self.pruner.config

    @property
    def maximize(self) -> bool:
        return self.pruner.mode == "max"

    @property
    def complete(self) -> list[FrozenTrial]:
        """The complete trials; empty while there are fewer than the startup trials."""
        found = [one for one in self.others if one.state.name == "COMPLETE"]
        return found if len(found) >= self.config.startup_trials else []

    @property
    def is_check(self) -> bool:
        """Whether the newest epoch is the first of its interval after the warm-up."""
        *_, before, now = 0, 0, *sorted(self.curve)
        first, interval = self.pruner.warmup + 1, self.config.interval
        return before < first or (now - first) // interval > (before - first) // interval

    def best(self, values: Iterable[float]) -> float:
        """Return the best value; NaN if none is a number."""
        known = [value for value in values if not math.isnan(value)]
        return (max if self.maximize else min)(known, default=math.nan)

    def behind(self, value: float, bar: float, name: str) -> str:
        """Return the reason to stop if the value is worse than the bar, else an empty text."""
        if math.isnan(value):
            return "no epoch gave a number"
        if value >= bar if self.maximize else value <= bar:
            return ""
        return f"{value:.6g}, {abs(value - bar):.3g} behind {name} of {bar:.6g}"
