"""One trial of a task: from searched parameters to metrics, through the `fit` of training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.config import RunConfig, fingerprint
from seqtune.core.errors import ConfigurationError, InfeasibleError, Interrupted
from seqtune.core.parameters import TaskParameters
from seqtune.core.resolve import Resolved, flatten
from seqtune.core.task import TaskSpec, TrainingData
from seqtune.core.trials import Params
from seqtune.tuning.config import ForbiddenConfig
from seqtune.tuning.objectives.constraints import forbidden_reason
from seqtune.tuning.plan import ReportEpoch, TrialReport

from .._resolution import resolve_trial, training_fingerprint
from .shared_training import SharedTraining, stage_folder, train_or_reuse
from .trial_states import TrialStates

if TYPE_CHECKING:
    from seqtune.training import FitResult

BEST_EPOCH = "best_epoch"


@dataclass(frozen=True)
class TrainTrial:
    """The objective; picklable, because worker processes call it and open the data by its path."""

    task: TaskSpec
    parameters: TaskParameters
    split: Path
    scratch: Path
    stage: str
    epochs: int
    forbidden: tuple[ForbiddenConfig, ...] = ()
    memory_limit_mib: float | None = None
    dry_run: bool = True
    states: TrialStates | None = None
    """Of shorter trainings, which this one resumes; None: none are kept."""

    def __call__(self, params: Params, report: TrialReport, *, name: str) -> Mapping[str, float]:
        data = self.task.open_data(self.split)
        resolved = self.resolve(params, data)
        values = dict(flatten(resolved.config.model_dump()))
        if reason := forbidden_reason(values, self.forbidden):
            raise InfeasibleError(reason, constraint="forbidden")
        if self.task.measure is None:
            folder = self.scratch / "tune" / name
            _, metrics = self._fit(resolved.config, data, report, name=name, folder=folder)
            if self.states is not None:
                self.states.keep(folder, resolved.config, data, metrics, name=name)
            shutil.rmtree(folder, ignore_errors=True)
            return metrics
        with self.trained(resolved.config, data, report, name=name) as trained:
            if not trained.is_new:
                for row in trained.history:  # as its own training would have reported them
                    if report(int(row["epoch"]), {**trained.metrics, **row}):
                        return trained.metrics
            if trained.checkpoint is None:
                return trained.metrics
            measured = self.task.measure(trained.checkpoint, data, resolved.config)
            metrics = {**trained.metrics, **measured}
            if self.states is not None:
                read, _ = training_fingerprint(self.task, resolved.config, data)
                folder = trained.checkpoint.parent
                self.states.keep(folder, read, data, metrics, name=name)
            return metrics

    def trained(
        self, config: RunConfig, data: TrainingData, report: TrialReport, *, name: str
    ) -> AbstractContextManager[SharedTraining]:
        """Train this configuration, or reuse a trial that agrees in everything training reads."""
        read, key = training_fingerprint(self.task, config, data)
        return train_or_reuse(
            stage_folder(self.scratch, self.stage) / key,
            lambda folder: self._fit(read, data, report, name=name, folder=folder),
        )

    def _fit(
        self,
        config: RunConfig,
        data: TrainingData,
        report: TrialReport,
        *,
        name: str,
        folder: Path,
    ) -> tuple[FitResult, dict[str, float]]:
        from seqtune.training import fit

        known = self._measure_before(config, data, name=name)
        states = self.states
        try:
            if states is not None:
                states.resume(folder, config, data, report, known=known, name=name)
            result = fit(
                self.task,
                config,
                data,
                directory=folder,
                fingerprint=fingerprint(config, data_hash=data.content_hash),
                report=partial(_report, report, known),
                progress=False,
                keep_state=states is not None and states.is_kept,
            )
        except Interrupted:
            raise  # the folder stays, so that training resumes from it
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        trained = {"fit_seconds": result.seconds, BEST_EPOCH: float(result.best_epoch)}
        return result, {**known, **result.best_metrics, **trained}

    def resolve(self, params: Params, data: TrainingData) -> Resolved[Any]:
        """Resolve these parameters; what cannot be built violates a constraint."""
        try:
            return resolve_trial(
                self.task,
                self.parameters,
                data,
                params=params,
                epochs=self.epochs,
                origin=f"trial of {self.stage}",
            )
        except ConfigurationError as error:
            raise InfeasibleError(str(error), constraint="shapes") from error

    def _measure_before(
        self, config: RunConfig, data: TrainingData, *, name: str
    ) -> dict[str, float]:
        """Measure what is known before training; refuse what does not fit into memory."""
        estimate = self.task.estimate_memory(config, data)
        limit = self.memory_limit_mib
        if limit is not None and estimate > limit:
            raise InfeasibleError(
                f"training would take about {estimate:.0f} MiB of {limit:.0f} MiB "
                "(tuning.guards.memory_limit_mib)",
                constraint="memory",
                violation=estimate / limit - 1.0,
            )
        measured = {"estimated_memory_mib": estimate}
        if not self.dry_run:
            return measured
        from seqtune.training import profile_steps

        folder = self.scratch / "tune" / f"{name}-dry-run"
        try:
            dry = profile_steps(self.task, config, data, num_steps=1, directory=folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        seconds = dry.validation_seconds_per_row
        known = {
            "model_mib": dry.model_mib,
            "num_parameters": dry.num_parameters,
            "peak_memory_mib": dry.peak_memory_mib,
            "inference_ms_per_row": None if seconds is None else 1000.0 * seconds,
        }
        return measured | {key: float(value) for key, value in known.items() if value is not None}


def _report(
    report: ReportEpoch, known: Mapping[str, float], epoch: int, row: Mapping[str, float]
) -> bool:
    """Report an epoch with what was measured before training; as a partial it can be pickled."""
    return report(epoch, {**known, **row})
