"""Joins a task's reader to the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.contracts.task import Report, TaskSpec

from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.contracts.parameters import TaskParameters


@dataclass(frozen=True)
class IngestNodes:
    task: TaskSpec

    def ingest(
        self, parameters: TaskParameters, scratch: Path, *raw: tuple[Path, ...]
    ) -> tuple[Path, Report]:
        """Read, check and number the raw files."""
        sources = dict(zip(self.task.sources, raw, strict=True))
        config = parameters.resolve().config
        with scratch_folder(scratch, "ingest") as out:
            report = self.task.ingest(sources, config, out=out)
        return out, report
