"""Nodes of the predict stage."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.task import Report, TaskSpec

from .._execution import ExecutionBackend
from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.core.config import ClusterConfig
    from seqtune.core.parameters import TaskParameters

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictNodes:
    task: TaskSpec

    def predict(
        self,
        parameters: TaskParameters,
        scratch: Path,
        checkpoint: Path,
        split: Path,
        new_rows: tuple[Path, ...],
        ensemble: Path | None,
        metrics: Report | None,
        ensemble_metrics: Report | None,
        cluster: ClusterConfig,
        *raw: tuple[Path, ...],
    ) -> tuple[Path, Path, Report]:
        """Predict with the chosen model for all rows, or for the file of new rows."""
        from .._model_choice import ModelChoice

        data, settings = self.task.open_data(split), parameters.predict
        choice = ModelChoice(
            self.task.name, settings, data, checkpoint, ensemble, metrics, ensemble_metrics
        )
        chosen = choice.choose()
        lines = [f"predicted with the {chosen.kind} ({chosen.why})"]
        logger.info("%s", lines[0])
        if warning := choice.floor_warning(chosen):
            logger.warning("%s", warning)
            lines.append(warning)
        with scratch_folder(scratch, "predict") as out:
            backend = ExecutionBackend(cluster, reads=(chosen.path, split, out), scratch=scratch)
            sources = dict(zip(self.task.predict_sources, raw, strict=True))
            report = self.task.predict(
                chosen.path,
                data,
                settings,
                new_rows=new_rows,
                out=out,
                spread=backend.spread(),
                **({"sources": sources} if sources else {}),
            )
        report = {
            **report,
            "headline": [*report.get("headline", ()), *lines],
            "model": chosen.kind,
            "model_why": chosen.why,
        }
        return out / "predictions.parquet", out / "submission.csv", report
