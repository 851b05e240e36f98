"""The loop of one worker of a search: ask for a configuration, train it, record the result.

Any number of loops run at the same time, on any number of machines, connected only by the study.
"""

from __future__ import annotations

import logging
import sysconfig
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from seqtune.core.errors import (
    ConfigurationError,
    InfeasibleError,
    Interrupted,
    StorageError,
    TrainingError,
)
from seqtune.core.execution import WorkerInfo
from seqtune.core.trials import Params

from ..plan import Objective, StudyPlan
from ..sampling.registry import SAMPLERS
from ..sampling.samplers import build_sampler, check_sampler
from ..sampling.strategies import adaptive_space
from ..spaces.space import Space
from ..studies.heartbeat import beating
from ..studies.processes import worker_identity
from ..studies.records import (
    WORKER,
    closing_reason,
    mark_failed,
    mark_infeasible,
    mark_lost,
    own_trials,
    record_result,
    root_number,
    set_closing,
    state_of,
    to_trial,
)
from ..studies.storage import quiet_optuna
from ..studies.storage_errors import (
    FIRST_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    explained,
    with_retries,
)
from ..studies.storage_url import StorageUrl
from ..studies.study import load_study
from .report_callback import ReportCallback
from .trial_rank import is_drawn, position, too_many, trial_rank

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.3
"""Between two looks at running trials, which decide whether one more is needed."""
EARLY_SECONDS = 120.0
OUT_OF_MEMORY = "out of memory"
LONGEST_REASON = 500


@dataclass(frozen=True)
class SearchWork:
    """Run trials until the plan's total is finished or the study is closed."""

    ref: StorageUrl
    study_name: str
    plan: StudyPlan
    objective: Objective
    since: float = field(default_factory=time.time)
    """Failures in a row count from then, so that a restarted search gets another chance."""

    def __call__(self, place: WorkerInfo) -> None:
        num_goals = len(self.plan.scoring.all_goals)
        check_sampler(self.plan.sampler, self.plan.space, num_goals=num_goals)
        is_early = time.time() - self.since < EARLY_SECONDS  # the address may be wrong
        patience = FIRST_PATIENCE_SECONDS if is_early else PATIENCE_SECONDS
        study = with_retries(
            lambda: load_study(self.ref, self.study_name), self.ref, patience_seconds=patience
        )
        while self._may_begin(study):
            asked = self._ask(study, place)
            if asked is not None:
                self._try(*asked)

    def _may_begin(self, study: optuna.Study) -> bool:
        """Wait until it is certain whether another trial is needed."""
        while True:
            answer = with_retries(lambda: self._look(study), self.ref)
            if answer is not None:
                return answer
            time.sleep(WAIT_SECONDS)

    def _look(self, study: optuna.Study) -> bool | None:
        """Whether to begin a trial; None if that depends on the running ones."""
        if closing_reason(study):
            return False
        trials = own_trials(study.get_trials(deepcopy=False))
        states = Counter(state_of(trial) for trial in trials)
        finished = states["complete"] + states["pruned"]
        if finished >= self.plan.total or too_many(trials, self.plan.guards, since=self.since):
            return False
        if finished + states["running"] >= self.plan.total:
            return None
        if not states["waiting"] and self._is_exhausted(trials):
            if states["running"]:
                return None
            set_closing(study, f"every configuration of the grid was tried ({finished} finished)")
            return False
        return True

    def _is_exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        sampler = SAMPLERS[self.plan.sampler.kind]
        number = sampler.num_configurations(self.plan.sampler, self.plan.space)
        return number is not None and sum(is_drawn(trial) for trial in trials) >= number

    def _ask(
        self, study: optuna.Study, place: WorkerInfo
    ) -> tuple[optuna.Trial, FrozenTrial, Space] | None:
        """Claim a trial and set its sampler; None if it was one too many."""
        trial = with_retries(study.ask, self.ref)
        owner = partial(trial.set_user_attr, WORKER, worker_identity(place.name))
        with_retries(owner, self.ref)
        trials = with_retries(lambda: study.get_trials(deepcopy=False), self.ref)
        if position(trial.number, trials) > self.plan.total:
            reason = "given back: others were about to finish the total"
            give_back = partial(mark_lost, max_retries=0, died=False, again=False)
            with_retries(lambda: give_back(trial.study, trial, reason), self.ref)
            return None
        space = self._space(trials)
        rank, num_drawn = trial_rank(trial, trials)
        study.sampler = build_sampler(
            self.plan.sampler,
            seed=self.plan.seed,
            stage=self.plan.stage,
            rank=rank,
            num_drawn=num_drawn,
            space=space,
            total=self.plan.total,
        )
        return trial, next(one for one in trials if one.number == trial.number), space

    def _space(self, trials: Sequence[FrozenTrial]) -> Space:
        if self.plan.strategy.kind != "adaptive":
            return self.plan.space
        own = [to_trial(trial) for trial in own_trials(trials)]
        mode = self.plan.scoring.first.mode
        return adaptive_space(self.plan.space, own, self.plan.strategy, mode)

    def _try(self, trial: optuna.Trial, frozen: FrozenTrial, space: Space) -> None:
        """Run it and record the result."""
        callback = ReportCallback(trial, frozen, plan=self.plan, ref=self.ref)
        try:
            self._attempt(trial, callback, space)
        except (Interrupted, KeyboardInterrupt, SystemExit, StorageError) as error:
            self._lose(trial, error)
            raise

    def _attempt(self, trial: optuna.Trial, callback: ReportCallback, space: Space) -> None:
        name = f"{self.study_name}-{root_number(trial):04d}"
        try:
            with beating(trial.study, trial, ref=self.ref):
                params = with_retries(lambda: _suggest(trial, space), self.ref)
                metrics = self.objective({**self.plan.fixed, **params}, callback, name=name)
        except InfeasibleError as error:
            self._refuse(trial, str(error), error.constraint, error.violation)
        except MemoryError as error:
            self._refuse(trial, _describe(error), OUT_OF_MEMORY, 1.0)
        except (Interrupted, StorageError):
            raise  # not a fault of this configuration
        except Exception as error:  # noqa: BLE001 - recorded with its reason; the search goes on
            self._fail(trial, _describe(error))
        else:
            self._judge(trial, callback, metrics)

    def _judge(
        self, trial: optuna.Trial, callback: ReportCallback, metrics: Mapping[str, float]
    ) -> None:
        """Record it as complete or pruned, or as failed without a score.

        A metric that was not measured is a configuration error and ends the search.
        """
        if callback.is_taken_away:  # stopped in the middle: there may be nothing to judge
            logger.warning("trial %d was ended by another process and is dropped", trial.number)
            return
        try:
            callback.check_reported()
            score = self.plan.scoring.score(metrics)
        except TrainingError as error:
            self._fail(trial, str(error))
            return
        except ConfigurationError as error:
            self._fail(trial, str(error))
            raise
        end = partial(record_result, trial, metrics, score, pruned=callback.pruned)
        if not with_retries(end, self.ref):
            logger.warning("trial %d was ended by another process and is dropped", trial.number)

    def _refuse(self, trial: optuna.Trial, reason: str, constraint: str, violation: float) -> None:
        logger.info("trial %d cannot be run: %s", trial.number, reason)
        end = partial(mark_infeasible, constraint=constraint, violation=violation)
        with_retries(lambda: end(trial.study, trial, reason), self.ref)

    def _fail(self, trial: optuna.Trial, reason: str) -> None:
        logger.warning("trial %d failed: %s", trial.number, reason)
        with_retries(lambda: mark_failed(trial.study, trial, reason), self.ref)

    def _lose(self, trial: optuna.Trial, error: BaseException) -> None:
        """Queue it again; if the storage fails too, `recover` does it later."""
        with suppress(StorageError), explained(self.ref):
            mark_lost(
                trial.study,
                trial,
                f"stopped: {error or type(error).__name__}",
                max_retries=self.plan.guards.max_retries,
                died=isinstance(error, SystemExit),
            )


def _describe(error: BaseException) -> str:
    """Return type, message, and the last line of code outside libraries."""
    libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(libraries)] or frames
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    text = f"{type(error).__name__}: {error}".strip()
    return text[: LONGEST_REASON - len(place)] + place


def _suggest(trial: optuna.Trial, space: Space) -> Params:
    with quiet_optuna(), warnings.catch_warnings():
        # a queued or repeated configuration may lie outside a range that has moved
        warnings.simplefilter("ignore", category=UserWarning)
        warnings.simplefilter("ignore", category=RuntimeWarning)
        _ = trial.relative_params  # or NSGA-II does not count the trial to its generation
        return space.suggest(trial)
