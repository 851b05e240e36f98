"""Nodes of the split stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.task import Report, TaskSpec

from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.core.parameters import TaskParameters


@dataclass(frozen=True)
class SplitNodes:
    task: TaskSpec

    def split(
        self, parameters: TaskParameters, scratch: Path, ingested: Path
    ) -> tuple[Path, Report]:
        """Hold out what the model has to predict."""
        with scratch_folder(scratch, "split") as out:
            report = self.task.split(ingested, parameters.resolve().config, out=out)
        return out, report
