"""Nodes of the ingest stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.task import Report, TaskSpec

from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.core.parameters import TaskParameters


@dataclass(frozen=True)
class IngestNodes:
    task: TaskSpec

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the raw files, in the order of the node's inputs."""
        return (*self.task.sources, *self.task.named_sources)

    def ingest(self, parameters: TaskParameters, scratch: Path, *raw: Any) -> tuple[Path, Report]:
        """Read and check the raw files, and number what is in them."""
        config = parameters.resolve().config
        sources: dict[str, tuple[Path, ...]] = {}
        for role, found in zip(self.roles, raw, strict=True):
            if name_tables := self.task.named_sources.get(role):
                sources |= found(name_tables(config))
            else:
                sources[role] = found
        with scratch_folder(scratch, "ingest") as out:
            report = self.task.ingest(sources, config, out=out)
        return out, report
