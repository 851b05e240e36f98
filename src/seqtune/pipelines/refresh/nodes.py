"""Nodes of the refresh stage."""

from __future__ import annotations

import logging
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.task import Report, TaskSpec

from .._scratch import scratch_folder
from .._training import evaluate_checkpoint, train_checkpoint

if TYPE_CHECKING:
    from seqtune.core.config import ClusterConfig, RefreshConfig
    from seqtune.core.parameters import TaskParameters

    from .update import Update

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefreshNodes:
    task: TaskSpec

    def describe_changes(
        self, newest: Path | None, split: Path, settings: RefreshConfig
    ) -> tuple[Path, Report]:
        """Choose the checkpoint to start from; say what changed in the data since its training."""
        from .update import previous_checkpoint

        previous = previous_checkpoint(newest, settings, task=self.task.name)
        assert self.task.describe_changes is not None  # noqa: S101
        return previous, self.task.describe_changes(previous, self.task.open_data(split))

    def refresh(
        self,
        parameters: TaskParameters,
        settings: RefreshConfig,
        split: Path,
        previous: Path,
        found: dict[str, Any] | None,
        scratch: Path,
        cluster: ClusterConfig,
    ) -> tuple[Path, Report]:
        """Train on from the checkpoint before; publish the result, or what was before if that is
        better on the new valid."""
        from .update import plan_update

        data = self.task.open_data(split)
        update = plan_update(self.task, parameters, settings, data, previous, found)
        with scratch_folder(scratch, "refresh") as folder:
            if update.is_unchanged:
                path = Path(shutil.copytree(previous, folder / "checkpoint"))
                return path, self._report(update, "unchanged", {})
            carried = update.carry_over(folder)
            if settings.rollback_to:
                valid = {"before": update.score(carried)}
                return carried, self._report(update, "rolled back", valid)
            trained = train_checkpoint(self.task, update.resolved, split, scratch, cluster)
            valid = {"before": update.score(carried), "after": update.score_of_training(trained)}
            if update.is_worse(valid["after"], valid["before"]):
                shutil.rmtree(trained.parent)
                return carried, self._report(update, "kept", valid)
            shutil.rmtree(folder)
            return trained, self._report(update, "refreshed", valid)

    def evaluate(self, checkpoint: Path, split: Path) -> Report:
        """Score what was published, as the stage `train` does."""
        return evaluate_checkpoint(self.task, checkpoint, split)

    def _report(self, update: Update, published: str, valid: dict[str, float]) -> Report:
        line = update.describe(published, valid)
        logger.info("%s", line)
        return {
            "headline": [line],
            "published": published,
            "previous": str(update.previous),
            "metric": update.metric,
            "valid": {name: value for name, value in valid.items() if math.isfinite(value)},
            "epochs": update.resolved.config.training.epochs,
            "lr": update.resolved.config.training.lr,
        }
