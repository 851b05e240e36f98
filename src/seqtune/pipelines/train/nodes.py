"""Nodes of the train stage."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.task import Report, TaskSpec

from .._training import evaluate_checkpoint, train_checkpoint

if TYPE_CHECKING:
    from seqtune.core.config import ClusterConfig, VerifyConfig
    from seqtune.core.parameters import TaskParameters
    from seqtune.core.resolve import Resolved

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainNodes:
    task: TaskSpec

    def resolve(
        self,
        parameters: TaskParameters,
        verify: VerifyConfig,
        split: Path,
        validated: Path | None,
        found: dict[str, Any] | None,
        verified: Report,
    ) -> tuple[Resolved[Any], dict[str, Any]]:
        """Settle every value of the configuration once, and record where each came from."""
        from seqtune.core.auto_preset import explain
        from seqtune.core.parameters import IGNORE
        from seqtune.training import values_for_full_data

        from .._best_config import read_best_config, require_agreement
        from .._resolution import resolve_run, warn_of_other_data

        data = self.task.open_data(split)
        warn_of_other_data(verified, data, task=self.task.name)
        best = None
        if parameters.best_config != IGNORE:
            best = read_best_config(found, task=self.task.name)
        layer = best.layer if best else None
        resolved = resolve_run(self.task, parameters, data, layer=layer)
        if not data.has_validation:
            resolved = values_for_full_data(resolved, validated, self.task.chosen_on_valid)
        if best is not None:
            require_agreement(best, resolved, data, on_mismatch=verify.on_mismatch)
            logger.info("training the %s", best.layer.name)
        for line in explain(resolved):
            logger.info("%s", line)
        return resolved, {"preset": parameters.preset, "values": resolved.table()}

    def fit(
        self, resolved: Resolved[Any], split: Path, scratch: Path, cluster: ClusterConfig
    ) -> Path:
        """Train, in this process or shared by several; return the folder of the checkpoint."""
        return train_checkpoint(self.task, resolved, split, scratch, cluster)

    def evaluate(self, checkpoint: Path, split: Path) -> Report:
        """Score the checkpoint and the baselines on what was held out."""
        return evaluate_checkpoint(self.task, checkpoint, split)
