"""Joins a task to a rehearsal of its training."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.contracts.task import Report, TaskSpec

from .._processes import Engine
from .._scratch import storage_errors

if TYPE_CHECKING:
    from seqtune.contracts.config import ClusterConfig
    from seqtune.contracts.parameters import TaskParameters
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
        from seqtune.training import memory_here_mib, rehearse

        from .._resolution import resolve_run
        from .report import Costs, Memory, describe, planned_search

        data = self.task.open_data(split)
        resolved, preset = resolve_run(self.task, parameters, data)
        config = resolved.config
        audits = dict(self.task.audit(config, data)) if self.task.audit else {}
        estimate = self.task.estimate_memory(config, data)
        with storage_errors(scratch):
            rehearsal = rehearse(self.task, config, data, num_steps=NUM_STEPS, directory=scratch)
        costs = Costs.of(rehearsal, config.training)
        memory = Memory(
            estimate_mib=estimate,
            measured_mib=rehearsal.peak_memory_mib,
            here_mib=memory_here_mib(config.training),
        )
        engine = Engine(cluster, reads=(split,), scratch=scratch)
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
