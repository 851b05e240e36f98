"""Nodes of the compare stage."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.task import Report, TaskSpec

from .._scratch import scratch_folder
from .._test_ledger import TestLedger

if TYPE_CHECKING:
    from seqtune.core.config import CompareConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompareNodes:
    task: TaskSpec

    def compare(
        self,
        settings: CompareConfig,
        scratch: Path,
        split: Path,
        checkpoint: Path,
        ensemble: Path | None,
        answers: tuple[Path, ...],
        results: Path,
    ) -> Report:
        """Score all systems on the same rows, and test every difference."""
        from .report import describe
        from .systems import choose_models, open_test

        if self.task.score_rows is None:
            raise NotImplementedError(f"the task {self.task.name} does not score rows")
        data = self.task.open_data(split)
        models, notes = choose_models(settings, data, checkpoint, ensemble)
        if settings.part == "test":
            ledger = TestLedger(results, once=self.task.test_once)
            notes += open_test(self.task, models, data, ledger)
        with scratch_folder(scratch, "compare") as folder:
            rows, facts = self.task.score_rows(models, answers, data, settings, scratch=folder)
            shutil.rmtree(folder)
        report = describe(rows, facts, notes, draws=settings.draws)
        for line in report["headline"]:
            logger.info("%s", line)
        return report
