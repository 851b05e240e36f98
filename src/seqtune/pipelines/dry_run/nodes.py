"""Joins a task to a rehearsal of its training."""

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
"""The first is not timed: it is slower than all others."""


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
        """Everything up to the first steps of training; then what all of them would take."""
        from seqtune.training import available_memory_mib, profile_steps

        from .._resolution import resolve_run
        from .report import Costs, Memory, describe, planned_search

        data = self.task.open_data(split)
        resolved, preset = resolve_run(self.task, parameters, data)
        config = resolved.config
        audits = dict(self.task.audit(config, data)) if self.task.audit else {}
        estimate = self.task.estimate_memory(config, data)
        with storage_errors(scratch):
            rehearsal = profile_steps(
                self.task, config, data, num_steps=NUM_STEPS, directory=scratch
            )
        costs = Costs.of(rehearsal, config.training)
        memory = Memory(
            estimate_mib=estimate,
            measured_mib=rehearsal.peak_memory_mib,
            here_mib=available_memory_mib(config.training),
        )
        engine = ExecutionBackend(cluster, reads=(split,), scratch=scratch)
        workers = engine.num_workers(tuning.config.workers)
        report: Report = describe(self.task.name, costs, memory, audits) | {
            "preset": preset,
            "data_hash": data.content_hash,
            "split": split_report.get("headline", []),
            "values": resolved.table(),
            "tuning": planned_search(tuning, costs, workers=workers),
            "rehearsal": asdict(rehearsal),
        }
        report["headline"] += report["tuning"]["headline"]
        for line in report["headline"]:
            logger.info("%s", line)
        return report
