"""Nodes that make one ensemble of several models, and score it on test once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.task import Report, TaskSpec

from .._execution import ExecutionBackend
from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.core.config import ClusterConfig, EnsembleConfig, VerifyConfig
    from seqtune.core.parameters import TaskParameters
    from seqtune.tuning.parameters import TuningParameters

    from .members import MemberPlan, PlannedMember

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnsembleNodes:
    task: TaskSpec

    def choose(
        self,
        parameters: TaskParameters,
        settings: EnsembleConfig,
        verify: VerifyConfig,
        split: Path,
        checkpoint: Path,
        top_configs: list[dict[str, Any]] | None,
    ) -> MemberPlan:
        """Choose the trained checkpoint, then trials, seeds, presets or named checkpoints."""
        from seqtune.core.checkpoint import open_checkpoint

        from .._best_config import read_top_configs
        from .member_selection import MemberSelector
        from .weighing import refuse_unknown

        data = self.task.open_data(split)
        refuse_unknown(self.task, settings, data)
        plan = MemberSelector(
            task=self.task,
            parameters=parameters,
            settings=settings,
            verify=verify,
            data=data,
            trained=open_checkpoint(checkpoint),
            trials=read_top_configs(top_configs, task=self.task.name),
        ).choose()
        logger.info("%d members (%s)", len(plan.members), plan.why)
        return plan

    def train(
        self,
        plan: MemberPlan,
        tuning: TuningParameters,
        split: Path,
        checkpoint: Path,
        scratch: Path,
        store: Path,
        cluster: ClusterConfig,
    ) -> tuple[PlannedMember, ...]:
        """Train the members that are not trained yet, several at once."""
        from .training import train_missing

        threads = [m.config.training.num_threads for m in plan.members if m.config]
        most = max((number for number in threads if number != "auto"), default=1)
        backend = ExecutionBackend(cluster, reads=(split,), scratch=scratch).with_shared_results()
        return train_missing(
            plan,
            self.task,
            split=split,
            scratch=scratch,
            store=store,
            trained=checkpoint,
            executor=backend.executor(),
            num_workers=backend.num_workers(tuning.config.workers, num_threads=most),
            max_retries=tuning.config.guards.max_retries,
        )

    def weigh(
        self,
        plan: MemberPlan,
        members: tuple[PlannedMember, ...],
        settings: EnsembleConfig,
        split: Path,
        scratch: Path,
    ) -> tuple[Path, Report]:
        """Find the weight of each on valid, and put those with a weight into one folder."""
        from .weighing import make_ensemble

        data = self.task.open_data(split)
        with scratch_folder(scratch, "ensemble") as out:
            return make_ensemble(self.task, plan, members, data, settings, out=out / "ensemble")

    def evaluate(
        self,
        ensemble: Path,
        settings: EnsembleConfig,
        split: Path,
        results: Path,
        metrics: Report | None,
    ) -> Report:
        """Score it on what was held out; on test only once, however often this runs."""
        from seqtune.core.ensemble import open_ensemble

        from .._test_ledger import TestLedger
        from .metrics import describe

        data = self.task.open_data(split)
        opened = open_ensemble(ensemble)
        known = TestLedger(results, once=self.task.test_once, reopen=settings.reopen_test)
        scored = known.score(
            ensemble=opened.manifest.fingerprint,
            test=data.test_hash,
            evaluate=lambda parts: self.task.evaluate(ensemble, data, parts=parts),
        )
        return describe(scored, opened, metrics)
