"""Joins a task's model to `training.fit`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtune.contracts.config import fingerprint
from seqtune.contracts.parameters import AUTO, TaskParameters
from seqtune.contracts.resolve import Resolved, require_made_with
from seqtune.contracts.task import Report, TaskSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainNodes:
    task: TaskSpec

    def resolve(
        self, parameters: TaskParameters, split: Path, validated: Path | None
    ) -> tuple[Resolved[Any], dict[str, Any]]:
        """Settle every value of the configuration, once, and write down where each came from."""
        from seqtune.training import epochs_for_full_data, settle

        data = self.task.open_data(split)
        preset = parameters.preset
        if preset == AUTO:
            preset = self.task.choose_preset(data)
            logger.info("preset auto means %s for this data", preset)
        resolved = settle(parameters.resolve(preset))
        require_made_with(resolved.config, data.made_with, what=str(split))
        if not data.has_validation:
            resolved = epochs_for_full_data(resolved, validated)
        return resolved, {"preset": preset, "values": resolved.table()}

    def fit(self, resolved: Resolved[Any], split: Path, scratch: Path) -> Path:
        """Train; the folder of the run becomes the checkpoint."""
        from seqtune.training import fit

        data = self.task.open_data(split)
        run = fingerprint(resolved.config, data_hash=data.content_hash)
        result = fit(
            self.task, resolved.config, data, directory=scratch / f"train-{run}", fingerprint=run
        )
        return result.checkpoint

    def evaluate(self, checkpoint: Path, split: Path) -> Report:
        """Score the checkpoint on what was held out, beside the floors."""
        return self.task.evaluate(checkpoint, self.task.open_data(split))
