"""Monitor a study while its workers run: count, kill overdue trials, decide when to stop."""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile

from optuna.trial import FrozenTrial

from seqtune.core.errors import StorageError, TuningError
from seqtune.core.execution import MonitorDecision, Process
from seqtune.core.format import format_duration
from seqtune.core.trials import Trial, ranked

from ..plan import StudyPlan
from ..studies.records import (
    Counts,
    count,
    mark_failed,
    mark_lost,
    own_trials,
    process_of,
    set_closing,
    to_trial,
)
from ..studies.storage_errors import PATIENCE_SECONDS, explained, is_away, with_retries
from ..studies.storage_url import StorageUrl
from ..studies.stored_study import StoredStudy
from ..studies.study import recover
from .progress import ProgressView, SearchStatus

logger = logging.getLogger(__name__)

MANY_TRIALS = 200
SECONDS_BETWEEN_LOOKS = 0.4
SECONDS_BETWEEN_LOOKS_AT_MANY = 2.0


class SearchMonitor:
    """The `core.execution.StudyMonitor` of one study.

    Trials that ended before it started count neither as failures nor for the time.
    """

    def __init__(
        self,
        study: StoredStudy,
        plan: StudyPlan,
        *,
        ref: StorageUrl,
        num_workers: int,
        view: ProgressView,
        seconds_left: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study, self._plan, self._ref, self._view = study, plan, ref, view
        self._num_workers, self._clock = num_workers, clock
        self._deadline = None if seconds_left is None else clock() + seconds_left
        self._next_look = -float("inf")
        self._next_recovery = clock() + ref.grace_seconds
        self._away_since: float | None = None
        self._running_since: dict[int, float] = {}
        self._condemned: dict[int, str] = {}
        self._deaths: list[str] = []
        self._known: set[int] = set()
        self._mode = plan.scoring.first.mode
        self._best: Trial | None = None
        self._seconds: list[float] = []
        self.ended: list[Trial] = []
        """Trials that ended since the start, in that order."""
        self.stopped = ""
        """Why no new trial begins, unless because of the total."""
        self.failure: TuningError | None = None
        """Set if the study cannot continue."""
        self._take_in(self._trials())
        self.ended = []

    def look(self) -> MonitorDecision:
        """Read what has ended and decide what to do."""
        if self._clock() < self._next_look:
            return MonitorDecision()
        try:
            return self._look()
        except StorageError as error:
            if not is_away(error, self._ref):
                raise
            self._be_patient(error)
            return MonitorDecision()

    def _look(self) -> MonitorDecision:
        with explained(self._ref):
            self._recover()
            trials = self._trials()
            ended = self._take_in(trials)
            self._judge()
            counts = count(self._study)
            left = self._seconds_left(counts)
            status = SearchStatus(self._plan.total, counts, self._best, left)
        self._away_since = None
        is_many = len(trials) > MANY_TRIALS
        pause = SECONDS_BETWEEN_LOOKS_AT_MANY if is_many else SECONDS_BETWEEN_LOOKS
        self._next_look = self._clock() + pause
        self._view.show(status, ended)
        # after a failure too the workers stop by themselves: they see that the study is closing
        return MonitorDecision(kill=self._overdue(trials))

    def lost(self, process: Process, exit_code: int, *, reason: str) -> None:
        """End the trial of that process: failed if it took too long, else queued again."""
        if reason not in self._condemned.values():
            self._deaths.append(reason or exit_text(exit_code))
        with_retries(lambda: self._end_trials_of(process, exit_code, reason), self._ref)

    def look_now(self) -> None:
        """Look without the pause between two looks."""
        self._next_look = -float("inf")
        self.look()

    def close(self) -> None:
        """Show what ended last, and close the view."""
        try:
            self.look_now()
        finally:
            self._view.close()

    def _recover(self) -> None:
        """Recover trials of lost machines from time to time: workers wait for running trials."""
        if self._clock() < self._next_recovery:
            return
        grace = self._ref.grace_seconds
        self._next_recovery = self._clock() + grace
        retries = self._plan.guards.max_retries
        recover(self._study, max_retries=retries, grace_seconds=grace, condemned=self._condemned)

    def _trials(self) -> list[FrozenTrial]:
        return own_trials(self._study.get_trials(deepcopy=False))

    def _take_in(self, trials: Sequence[FrozenTrial]) -> list[Trial]:
        new = [one for one in trials if one.state.is_finished() and one.number not in self._known]
        new.sort(key=lambda one: (one.datetime_complete is None, one.datetime_complete))
        ended = [to_trial(one) for one in new]
        self._known.update(trial.number for trial in ended)
        for trial in ended:
            self._remember(trial)
        running = {one.number for one in trials if one.state.name == "RUNNING"}
        self._running_since = {
            number: self._running_since.get(number, self._clock()) for number in running
        }
        return ended

    def _remember(self, trial: Trial) -> None:
        self.ended.append(trial)
        if not trial.is_finished:
            return
        self._deaths = []
        self._seconds.append(trial.seconds or 0.0)
        rivals = [trial] if self._best is None else [self._best, trial]
        self._best = next(iter(ranked(rivals, mode=self._mode)), self._best)

    def _seconds_left(self, counts: Counts) -> float | None:
        if not self._seconds:
            return None
        missing = max(0, self._plan.total - counts.finished)
        mean = sum(self._seconds) / len(self._seconds)
        left = mean * missing / max(1, min(self._num_workers, missing))
        return left if self._deadline is None else min(left, self._deadline - self._clock())

    def _judge(self) -> None:
        if self.stopped:
            return
        if self._deadline is not None and self._clock() >= self._deadline:
            given = format_duration(self._plan.timeout_seconds or 0)
            self._close_study(f"the time for this stage is up ({given})")
            return
        self.failure = self._check_failures()
        if self.failure is not None:
            self._close_study(str(self.failure).partition("\n")[0])

    def _close_study(self, reason: str) -> None:
        """Begin no new trial; running ones finish."""
        set_closing(self._study, reason)
        self.stopped = reason

    def _check_failures(self) -> TuningError | None:
        guards = self._plan.guards
        most, most_infeasible = guards.max_failures_in_a_row, guards.max_infeasible_in_a_row
        if len(self._deaths) > most:
            return self._explain("workers died one after another", self._deaths, "")
        ended = [trial for trial in self.ended if trial.state != "lost"]
        failed = _last_reasons([one for one in ended if one.state != "infeasible"], "failed")
        if len(failed) >= most:
            return self._explain("trials failed in a row", failed, f"max_failures_in_a_row={most}")
        refused = _last_reasons(ended, "infeasible")
        if len(refused) >= most_infeasible:
            what = "trials in a row could not be run here"
            return self._explain(what, refused, f"max_infeasible_in_a_row={most_infeasible}")
        return None

    def _explain(self, what: str, reasons: Sequence[str], guard: str) -> TuningError:
        distinct = Counter(reason.partition("\n")[0] or "no reason given" for reason in reasons)
        lines = [f"  {number} x {reason}" for reason, number in distinct.most_common(5)]
        finished = count(self._study).finished
        advice = "Fix the cause, or remove what fails from the space, and run again"
        if guard:
            advice += f"; the limit is tuning.guards.{guard}"
        return TuningError(
            f"study {self._study.study_name} was stopped: {len(reasons)} {what}\n"
            + "\n".join(lines)
            + f"\n{finished} of {self._plan.total} trials are finished and kept. {advice}"
        )

    def _overdue(self, trials: Sequence[FrozenTrial]) -> dict[Process, str]:
        """Return the processes whose trial takes too long, each with the reason.

        Some may belong to another run of the same study, whose monitor finds them too.
        """
        minutes = self._plan.guards.trial_timeout_minutes
        if minutes is None:
            return {}
        kill = {}
        for trial in trials:
            worker = process_of(trial)
            since = self._running_since.get(trial.number)
            if since is None or worker is None or self._clock() - since < 60 * minutes:
                continue
            kill[worker] = self._condemned[trial.number] = (
                f"took longer than {format_duration(60 * minutes)} "
                f"(tuning.guards.trial_timeout_minutes={minutes:g})"
            )
        return kill

    def _end_trials_of(self, process: Process, exit_code: int, reason: str) -> None:
        for trial in self._trials():
            if trial.state.name != "RUNNING" or process_of(trial) != process:
                continue
            if trial.number in self._condemned:
                mark_failed(self._study, trial, self._condemned[trial.number])
            else:
                mark_lost(
                    self._study,
                    trial,
                    reason or f"its process {process.pid} {exit_text(exit_code)}",
                    max_retries=self._plan.guards.max_retries,
                )

    def _be_patient(self, error: StorageError) -> None:
        """Wait for a server that is away, as the workers do."""
        if self._away_since is None:
            self._away_since = self._clock()
            logger.warning("%s Continuing once it is back", error)
        if self._clock() - self._away_since > PATIENCE_SECONDS:
            raise error
        self._next_look = self._clock() + SECONDS_BETWEEN_LOOKS_AT_MANY


def _last_reasons(trials: Sequence[Trial], state: str) -> list[str]:
    """Return the reasons of the last trials in a row that ended in this state."""
    return [one.reason for one in takewhile(lambda one: one.state == state, reversed(trials))]


def exit_text(exit_code: int) -> str:
    """Describe how a process ended."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = "; a machine out of memory does that" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
