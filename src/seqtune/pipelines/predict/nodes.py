"""Joins a task's prediction to the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqtune.contracts.parameters import TaskParameters
from seqtune.contracts.task import Report, TaskSpec

from .._scratch import scratch_folder


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
    ) -> tuple[Path, Path, Report]:
        """Recommend for all users, or for those of the file of new rows."""
        data = self.task.open_data(split)
        with scratch_folder(scratch, "predict") as out:
            report = self.task.predict(
                checkpoint, data, parameters.predict, new_rows=new_rows, out=out
            )
        return out / "predictions.parquet", out / "submission.csv", report
