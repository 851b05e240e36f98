"""Nodes that train the final configuration of a task several times."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.errors import ConfigurationError
from seqtune.core.task import Report, TaskSpec, TrainingData

from .._scratch import storage_errors

if TYPE_CHECKING:
    from seqtune.core.config import RunConfig, ValidateConfig
    from seqtune.core.resolve import Resolved

    from .runs import FinishedRun, PlannedRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidateNodes:
    task: TaskSpec

    def validate(
        self, resolved: Resolved[Any], split: Path, scratch: Path, settings: ValidateConfig
    ) -> Report:
        """Train the final configuration N times; report mean, spread, and whether it is stable."""
        from seqtune.core.config import fingerprint

        from .runs import plan_runs
        from .stability import summarise

        config = resolved.config
        data = self.task.open_data(split)
        if not data.has_validation:
            raise ConfigurationError(
                "nothing is held out (split.use_full_data), so there is no metric to compare; set "
                "split.use_full_data: false, and run split and validate again"
            )
        runs = plan_runs(config, settings)
        whole = fingerprint(config, data_hash=data.content_hash)
        folder = scratch / f"validate-{whole}"
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            done = [self._run(run, config, data, folder, of=len(runs)) for run in runs]
        report = {
            **summarise(done, settings, metric=config.training.monitor, task=self.task.name),
            "fingerprint": whole,
            "data_hash": data.content_hash,
        }
        shutil.rmtree(folder, ignore_errors=True)
        return report

    def _run(
        self, run: PlannedRun, config: RunConfig, data: TrainingData, folder: Path, *, of: int
    ) -> FinishedRun:
        """Run or resume one training; one that finished before is only read."""
        from seqtune.core.config import fingerprint
        from seqtune.training import fit

        from .runs import FinishedRun, read_done, write_done

        known = read_done(folder, run) if config.training.resume else None
        if known is not None:
            logger.info("%s: %.4f, from before", run.name, known.score)
            return known
        logger.info("%s, one of %d trainings, seed %d", run.name, of, run.seed)
        own = config.model_copy(update={"seed": run.seed})
        result = fit(
            self.task,
            own,
            data,
            directory=folder / run.name,
            fingerprint=fingerprint(own, data_hash=data.content_hash),
        )
        score = result.best_metrics.get(config.training.monitor)
        if score is None:
            raise ConfigurationError(
                "the training ended before its first validation, so there is no "
                f"{config.training.monitor}; raise training.max_minutes (now "
                f"{config.training.max_minutes})"
            )
        done = FinishedRun(
            run=run,
            score=score,
            best_epoch=result.best_epoch,
            stopped=result.stopped,
            seconds=result.seconds,
            metrics=dict(result.best_metrics),
        )
        write_done(folder, done)
        shutil.rmtree(folder / run.name, ignore_errors=True)
        return done
