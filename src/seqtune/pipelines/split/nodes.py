"""Joins a task's split to the catalog."""

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
        """Hold out what is to be predicted."""
        config = parameters.resolve().config
        with scratch_folder(scratch, "split") as out:
            report = self.task.split(ingested, config, out=out)
        return out, report
