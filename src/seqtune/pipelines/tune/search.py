"""The search of a task: its budgets, limits and workers, and how a study runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from seqtune.core.config import WITHOUT_EFFECT, ClusterConfig, library_versions
from seqtune.core.errors import ConfigurationError
from seqtune.core.parameters import RUNTIME, TaskParameters
from seqtune.core.resolve import Resolved
from seqtune.core.task import TaskSpec
from seqtune.core.trials import Params, Trial
from seqtune.tuning.budgets.plans import StageBudget, enabled_stages, plan_stages
from seqtune.tuning.budgets.sizes import BUDGETS
from seqtune.tuning.objectives.scoring import Scoring
from seqtune.tuning.parameters import TuningParameters
from seqtune.tuning.plan import Objective, StudyPlan
from seqtune.tuning.search.stage import StudyResult, run_study
from seqtune.tuning.spaces.space import Space
from seqtune.tuning.studies.copies import backup
from seqtune.tuning.studies.storage_url import StorageUrl

from .._execution import ExecutionBackend
from .._resolution import EPOCHS, resolve_run, resolve_trial
from .objective import TrainTrial
from .trial_states import TrialStates


@dataclass(frozen=True)
class Search:
    """A task, its parameters and the places of its data: all that a stage needs."""

    task: TaskSpec
    parameters: TaskParameters
    tuning: TuningParameters
    split: Path
    storage_url: str
    scratch: Path
    cluster: ClusterConfig

    @property
    def num_workers(self) -> int:
        return self._engine.num_workers(self.tuning.config.workers)

    @property
    def _engine(self) -> ExecutionBackend:
        return ExecutionBackend(self.cluster, reads=(self.split,), scratch=self.scratch)

    @cached_property
    def scoring(self) -> Scoring:
        return scoring_of(self.parameters, self.tuning)

    def budgets(self, tests: Sequence[Trial] = ()) -> dict[str, StageBudget]:
        """Plan what each stage may spend, given the trials of the test stage."""
        is_named = self.tuning.config.budget in BUDGETS
        return plan_stages(
            self.tuning.config,
            spaces=self.tuning.spaces,
            seconds_per_epoch=seconds_per_epoch(tests),
            num_workers=self.num_workers,
            own_epochs=None if is_named else self.default().config.training.epochs,
        )

    def is_enabled(self, stage: str) -> bool:
        return stage in enabled_stages(self.tuning.config)

    def refuse_given_epochs(self) -> None:
        """Refuse epochs on the command line: they would override the budget of every stage."""
        if EPOCHS in {key for key, _, _ in self.parameters.runtime.leaves()}:
            raise ConfigurationError(
                f"{self.task.name}.{EPOCHS} (set in {RUNTIME}) would override the epochs of "
                "every stage; leave it out, or set tuning.stages.<stage>.epochs instead"
            )

    def default(self) -> Resolved[Any]:
        """Return the configuration that trains without a search."""
        return resolve_run(self.task, self.parameters, self.task.open_data(self.split))

    def space(self, stage: str) -> Space:
        """Return what a stage searches, without the values that the command line fixes."""
        return without_fixed_params(self.tuning.spaces[stage], self.parameters)

    def plan(self, budget: StageBudget, space: Space, *, queue: Sequence[Params] = ()) -> StudyPlan:
        config = self.tuning.config
        sampler = config.sampler.model_copy(update={"kind": budget.sampler})
        if queue and budget.sampler == "gp":  # the queue replaces random trials at the start
            sampler = sampler.model_copy(update={"startup_trials": 1})
        pruner = config.pruner.model_copy(update={"kind": budget.pruner})
        return StudyPlan(
            task=self.task.name,
            stage=budget.stage,
            space=space,
            total=budget.trials,
            epochs=budget.epochs,
            scoring=self.scoring,
            seed=config.seed,
            sampler=sampler,
            pruner=pruner,
            environment=self.environment(space.keys),
            queue=tuple(queue),
            guards=config.guards,
            strategy=config.strategy,
            warm_start=None if budget.stage == "test" else config.warm_start,
            timeout_seconds=budget.timeout_seconds,
        )

    def environment(self, searched: Collection[str]) -> dict[str, Any]:
        """Return everything that a trial's result depends on besides the searched values."""
        data = self.task.open_data(self.split)
        resolved = resolve_trial(self.task, self.parameters, data, params={}, epochs=1)
        unimportant = {f"{group}.{key}" for group, keys in WITHOUT_EFFECT.items() for key in keys}
        left_out = {*searched, *unimportant, EPOCHS}
        config = {k: entry["value"] for k, entry in resolved.table().items() if k not in left_out}
        versions = library_versions(resolved.config.libraries)
        return {"config": config, "data": data.content_hash, "versions": versions}

    def objective(self, budget: StageBudget) -> TrainTrial:
        config = self.tuning.config
        return TrainTrial(
            task=self.task,
            parameters=self.parameters,
            split=self.split,
            scratch=self.scratch,
            stage=budget.stage,
            epochs=budget.epochs,
            forbidden=config.forbidden,
            memory_limit_mib=self.memory_limit_mib(),
            dry_run=config.guards.dry_run,
            states=self.trial_states(budget.stage),
        )

    def trial_states(self, stage: str) -> TrialStates | None:
        """Return where a stage keeps or finds states; None if nodes do not share a folder."""
        if not self._engine.is_local and self.cluster.data != "shared":
            return None
        narrowing = self.tuning.config.narrowing
        is_kept = stage == "quick" and self.is_enabled("medium")
        return TrialStates(
            self.scratch / "tune" / f"states-{self.task.name}",
            self.scoring,
            num=narrowing.queue_best if is_kept else 0,
            max_gib=narrowing.states_gib,
        )

    def memory_limit_mib(self) -> float | None:
        limit = self.tuning.config.guards.memory_limit_mib
        if limit == "none":
            return None
        if limit != "auto":
            return float(limit)
        from seqtune.training import available_memory_mib

        training = self.parameters.resolve().config.training
        return available_memory_mib(training, sharers=self.num_workers)

    def run(self, plan: StudyPlan, objective: Objective) -> StudyResult:
        """Run a study until it has its total number of trials."""
        self._require_database()
        back_up_once(self.storage, self.tuning.config.storage.backups)
        result = run_study(
            plan,
            objective,
            ref=self.storage,
            executor=self._engine.executor(elastic=self.tuning.config.workers == "auto"),
            num_workers=self.num_workers,
        )
        trials = tuple(
            replace(trial, params={**plan.fixed, **trial.params}, study=result.name)
            for trial in result.trials
        )
        return replace(result, trials=trials)

    def _require_database(self) -> None:
        """Refuse one SQLite file for several machines, unless a proxy serves it."""
        storage = self.storage
        if storage.file is None or storage.proxy or not self._engine.spans_machines():
            return
        raise ConfigurationError(
            f"studies are kept in {storage.file}, but the cluster has several machines, and one "
            "SQLite file cannot serve them; name a PostgreSQL or MySQL database in "
            "SEQTUNE_STUDY_URL (postgresql://<user>:<password>@<host>/<database>), or put a proxy "
            "in front of the file (tuning.storage.proxy)"
        )

    @property
    def storage(self) -> StorageUrl:
        config = self.tuning.config.storage
        return StorageUrl(
            self.storage_url,
            heartbeat_seconds=config.heartbeat_seconds,
            grace_seconds=config.grace_seconds,
            proxy=config.proxy or "",
        )


def scoring_of(parameters: TaskParameters, tuning: TuningParameters) -> Scoring:
    """Return what a search optimises: its objectives, or by default the monitored metric."""
    training = parameters.resolve().config.training
    return Scoring(
        metric=training.monitor,
        mode=training.monitor_mode,
        gap=tuning.config.gap_penalty,
        goals=tuning.config.objectives,
    )


@cache
def back_up_once(ref: StorageUrl, keep: int) -> None:
    """Copy the study file before this process first writes to it."""
    backup(ref, keep=keep)


def without_fixed_params(space: Space, parameters: TaskParameters) -> Space:
    """Remove what the command line sets from the space, and settle conditions on it."""
    given = {key: value for key, value, _ in parameters.runtime.leaves() if key in space.keys}
    return space.given(given)


def seconds_per_epoch(trials: Sequence[Trial]) -> float | None:
    """Return the time per epoch of these trials, everything that a trial does included."""
    finished = [trial for trial in trials if trial.is_finished and trial.seconds]
    epochs = sum(trial.num_epochs for trial in finished)
    return sum(trial.seconds or 0.0 for trial in finished) / epochs if epochs else None
