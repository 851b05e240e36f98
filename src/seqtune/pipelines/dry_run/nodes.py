"""Nodes of the dry run: a few steps of a task's training."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.task import Report, TaskSpec

from .._execution import ExecutionBackend
from .._scratch import storage_errors

if TYPE_CHECKING:
    from seqtune.core.config import ClusterConfig
    from seqtune.core.parameters import TaskParameters
    from seqtune.tuning.parameters import TuningParameters

logger = logging.getLogger(__name__)

NUM_STEPS = 3
"""The first is not timed: it is slower than the others."""


@dataclass(frozen=True)
class DryRunNodes:
    task: TaskSpec

    def dry_run(
        self,
        parameters: TaskParameters,
        tuning: TuningParameters,
        split: Path,
        split_report: Report,
        scratch: Path,
        cluster: ClusterConfig,
    ) -> Report:
        """Do everything up to the first steps of training, and estimate what all would take."""
        from seqtune.training import TrainingCosts, available_memory_mib, profile_steps

        from .._resolution import resolve_run
        from .report import Memory, describe, planned_search

        data = self.task.open_data(split)
        resolved = resolve_run(self.task, parameters, data)
        config = resolved.config
        audits = dict(self.task.audit(config, data)) if self.task.audit else {}
        estimate = self.task.estimate_memory(config, data)
        with storage_errors(scratch):
            steps = profile_steps(self.task, config, data, num_steps=NUM_STEPS, directory=scratch)
        costs = TrainingCosts.of(steps, config.training)
        memory = Memory(estimate, steps.peak_memory_mib, available_memory_mib(config.training))
        backend = ExecutionBackend(cluster, reads=(split,), scratch=scratch)
        workers = backend.num_workers(tuning.config.workers)
        report: Report = describe(self.task.name, costs, memory, audits) | {
            "preset": parameters.preset,
            "data_hash": data.content_hash,
            "split": split_report.get("headline", []),
            "values": resolved.table(),
            "tuning": planned_search(tuning, costs, workers=workers),
            "rehearsal": asdict(steps),
        }
        report["headline"] += report["tuning"]["headline"]
        for line in report["headline"]:
            logger.info("%s", line)
        return report
