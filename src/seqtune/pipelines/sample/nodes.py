"""Joins a task's generator of sample data to the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.contracts.errors import ConfigurationError
from seqtune.contracts.task import TaskSpec

from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.contracts.sample import SampleParameters


@dataclass(frozen=True)
class SampleNodes:
    task: TaskSpec

    def generate(self, parameters: SampleParameters, scratch: Path) -> tuple[Path, ...]:
        """Files as a user would bring them."""
        assert self.task.generate_sample is not None  # noqa: S101
        if not parameters.enabled:
            raise ConfigurationError(
                "sample.enabled=false: sample data is generated in its own environment only, so "
                "that it never replaces files of yours; run "
                f"`kedro run --pipelines {self.task.name}.sample --env sample`"
            )
        with scratch_folder(scratch, "sample") as out:
            return self.task.generate_sample(parameters, out=out)
