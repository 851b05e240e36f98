"""Run one study to its total number of trials."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from seqtune.core.execution import Executor
from seqtune.core.format import format_duration
from seqtune.core.trials import Trial

from ..plan import Objective, StudyPlan
from ..sampling.samplers import check_sampler
from ..studies.records import (
    ORIGIN,
    QUEUED,
    closing_reason,
    count,
    read_trials,
    set_closing,
)
from ..studies.storage import quiet_optuna
from ..studies.storage_errors import explained, with_retries
from ..studies.storage_url import StorageUrl
from ..studies.stored_study import StoredStudy
from ..studies.study import open_study, recover
from ..studies.warm_start import warm_start
from .loop import SearchWork
from .monitor import SearchMonitor
from .progress import view_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyResult:
    """The result of a study."""

    name: str
    trials: tuple[Trial, ...]
    """From every session, without imported ones."""
    num_new: int
    """Finished in this session."""
    stopped: str
    """Why it ended before its total; empty if it is complete."""
    notes: tuple[str, ...]
    seconds: float
    """Wall clock of this session."""


def run_study(
    plan: StudyPlan,
    objective: Objective,
    *,
    ref: StorageUrl,
    executor: Executor,
    num_workers: int,
    progress: bool = True,
) -> StudyResult:
    """Run the trials that are missing to the plan's total.

    Back up the study file before (`copies.backup`, once for all stages of a run). Raises
    TuningError after failures in a row; finished trials are kept in any case.
    """
    began = time.monotonic()
    check_sampler(plan.sampler, plan.space, num_goals=len(plan.scoring.all_goals))
    opened = open_study(ref, plan)
    session = _Session(opened.study, plan, ref, num_workers)
    notes = [*opened.notes, *session.prepare()]
    num_before = session.num_finished()
    stopped = ""
    if num_before >= plan.total:
        notes.append(f"study {session.name} is complete: {num_before} trials; nothing is run")
    for note in notes:
        logger.info("%s", note)
    if num_before < plan.total:
        work = SearchWork(ref.for_workers(), session.name, plan, objective)
        stopped = session.run(work, executor, progress=progress)
    trials = with_retries(lambda: tuple(read_trials(opened.study)), ref)
    return StudyResult(
        name=session.name,
        trials=trials,
        num_new=sum(trial.is_finished for trial in trials) - num_before,
        stopped=stopped,
        notes=tuple(notes),
        seconds=time.monotonic() - began,
    )


@dataclass(frozen=True)
class _Session:
    """One call of `run_study`."""

    study: StoredStudy
    plan: StudyPlan
    ref: StorageUrl
    num_workers: int

    @property
    def name(self) -> str:
        return self.study.study_name

    def num_finished(self) -> int:
        return with_retries(lambda: count(self.study).finished, self.ref)

    def prepare(self) -> list[str]:
        """Recover trials of earlier sessions, and queue given configurations."""
        notes = []
        with explained(self.ref), quiet_optuna():
            set_closing(self.study, "")
            num_lost = self._recover()
            if num_lost:
                notes.append(f"{num_lost} trials died with their process and are run again")
            if count(self.study).finished < self.plan.total:
                if note := warm_start(self.study, self.plan, self.ref):
                    notes.append(note)
                for params in self.plan.queue:  # in order; those of earlier sessions are skipped
                    queued = {ORIGIN: QUEUED}
                    self.study.enqueue_trial(dict(params), user_attrs=queued, skip_if_exists=True)
        return notes

    def _recover(self) -> int:
        retries, grace = self.plan.guards.max_retries, self.ref.grace_seconds
        with quiet_optuna():
            return recover(self.study, max_retries=retries, grace_seconds=grace)

    def run(self, work: SearchWork, executor: Executor, *, progress: bool) -> str:
        """Run workers until the total is reached; return why it ended before."""
        monitor = SearchMonitor(
            self.study,
            self.plan,
            ref=self.ref,
            num_workers=self.num_workers,
            view=view_of(self.name, enabled=progress),
            seconds_left=self._seconds_left(),
        )
        try:
            self._run_rounds(work, monitor, executor)
        finally:
            monitor.close()
        if monitor.failure is not None:
            raise monitor.failure
        finished = self.num_finished()
        if finished >= self.plan.total:
            return ""
        return (
            monitor.stopped
            or self._closing()
            or f"the workers ended at {finished} of {self.plan.total} finished trials: "
            "nothing is left to propose, or other workers are still running trials"
        )

    def _seconds_left(self) -> float | None:
        """Return the wall clock that earlier sessions have left."""
        limit = self.plan.timeout_seconds
        if limit is None:
            return None
        finished = [trial for trial in read_trials(self.study) if trial.is_finished]
        left = limit - sum(trial.seconds or 0.0 for trial in finished) / self.num_workers
        if left <= 0:
            logger.warning(
                "earlier sessions have used the %s of stage %s; raise its timeout_minutes to go on",
                format_duration(limit),
                self.plan.stage,
            )
        return left

    def _run_rounds(self, work: SearchWork, monitor: SearchMonitor, executor: Executor) -> None:
        """Start workers again while trials end: the last ones may have left a lost trial."""
        monitor.look()
        while not monitor.stopped:
            missing = self.plan.total - self.num_finished()
            if missing <= 0:
                return
            num_ended = len(monitor.ended)
            executor(work, monitor, num_workers=min(self.num_workers, missing), most=missing)
            with_retries(self._recover, self.ref)
            monitor.look_now()
            if len(monitor.ended) == num_ended or self._closing():
                return

    def _closing(self) -> str:
        return with_retries(lambda: closing_reason(self.study), self.ref)
