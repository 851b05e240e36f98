"""Receive the epochs of a trial: keep its curve and decide when it should stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from seqtune.core.errors import ConfigurationError

from ..objectives.scoring import known_at_the_end
from ..plan import StudyPlan
from ..sampling.pruners import Pruner
from ..sampling.registry import PARETO
from ..studies.records import CURVE, GOALS, RESUMED, curve_of, root_number
from ..studies.storage_errors import with_retries
from ..studies.storage_url import StorageUrl


class ReportCallback:
    """The `report` of one trial.

    A resumed run repeats epochs. Only the newest known one is judged again: a kill may have come
    between report and judgement.
    """

    def __init__(
        self, trial: optuna.Trial, frozen: FrozenTrial, *, plan: StudyPlan, ref: StorageUrl
    ) -> None:
        self._trial = trial
        self._ref = ref
        self._root = root_number(frozen)
        self._plan = plan
        self.curve = curve_of(frozen)
        self._goals: dict[str, Sequence[float]] = dict(frozen.user_attrs.get(GOALS, {}))
        self._newest_known = max(self.curve, default=0)
        self._pruner = Pruner(plan.pruner, epochs=plan.epochs, mode=plan.scoring.first.mode)
        self.measured: set[str] = set()
        self.pruned = ""
        """Why it should stop; empty if it should not."""
        self.is_taken_away = False
        """Whether another process has ended the trial, so that its result no longer counts."""

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Record an epoch and return whether the trial should stop."""
        self.measured |= set(metrics)
        value = self._plan.scoring.reported(metrics)
        if value is None or self.pruned or self.is_taken_away:
            return bool(self.pruned) or self.is_taken_away
        if epoch not in self.curve:
            self._record(epoch, value, metrics)
        elif epoch < self._newest_known:
            return False
        if not self.is_taken_away:
            self.pruned = with_retries(self._judge, self._ref)
        return bool(self.pruned) or self.is_taken_away

    def resume(self, trial: str, history: Sequence[Mapping[str, float]]) -> None:
        """Record that training resumes where another trial ended.

        The epochs of that trial belong to the curve. They are not judged: they cost nothing more.
        """
        origin = {"trial": trial, "epoch": len(history)}
        self._write(lambda: self._trial.set_user_attr(RESUMED, origin))
        for row in history:
            epoch, value = int(row["epoch"]), self._plan.scoring.reported(row)
            if value is not None and epoch not in self.curve:
                self._record(epoch, value, row)
        self._newest_known = max(self.curve, default=0)

    def check_reported(self) -> None:
        """Raise if no epoch reported the searched metric, so that nothing could be pruned."""
        if self.curve or known_at_the_end(self._plan.scoring.goals):
            return
        metric = self._plan.scoring.first.metric
        measured = ", ".join(sorted(self.measured)) or "nothing"
        raise ConfigurationError(
            f"the search goes by {metric!r}, which no epoch reported (reported: {measured}). Name "
            "one of these, or let validation run at least once in the epochs of a trial"
        )

    def _record(self, epoch: int, value: float, metrics: Mapping[str, float]) -> None:
        self.curve[epoch] = value
        if self._plan.scoring.is_multiple:  # Optuna refuses reports
            curve = {str(one): v for one, v in self.curve.items()}
            self._write(lambda: self._trial.set_user_attr(CURVE, curve))
            self._record_goals(epoch, metrics)
        else:
            self._write(lambda: self._trial.report(value, epoch))

    def _record_goals(self, epoch: int, metrics: Mapping[str, float]) -> None:
        before = self._goals[max(self._goals, key=int)] if self._goals else ()
        goals = self._plan.scoring.goals_so_far(metrics, before)
        if goals is not None:
            self._goals[str(epoch)] = goals
            self._write(lambda: self._trial.set_user_attr(GOALS, self._goals))

    def _write(self, write: Callable[[], None]) -> None:
        """Write to the study, unless another process has ended the trial."""

        def attempt() -> None:
            try:
                write()
            except UpdateFinishedTrialError:
                self.is_taken_away = True

        with_retries(attempt, self._ref)

    def _judge(self) -> str:
        epoch = max(self.curve)
        has_rule = self._plan.scoring.is_multiple == (self._plan.pruner.kind == PARETO)
        if not has_rule or not self._pruner.judges(epoch):
            return ""
        trials = self._trial.study.get_trials(deepcopy=False)
        others = [one for one in trials if one.number != self._trial.number]
        goals = self._goals.get(str(epoch), ())
        return self._pruner.reason(self.curve, others, root=self._root, goals=goals)
