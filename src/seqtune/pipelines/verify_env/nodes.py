"""Nodes that verify that tuning and training are the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtune.core.errors import ConfigurationError
from seqtune.core.task import Report, TaskSpec, TrainingData
from seqtune.core.verification import Check, failures

from .._scratch import storage_errors

if TYPE_CHECKING:
    from seqtune.core.config import VerifyConfig
    from seqtune.core.parameters import TaskParameters
    from seqtune.tuning.parameters import TuningParameters

logger = logging.getLogger(__name__)

REFERENCE_STAGE = "medium"
LOCK = Path("requirements.lock")
LEVELS = {"ok": logging.INFO, "warn": logging.WARNING, "fail": logging.ERROR}


@dataclass(frozen=True)
class VerifyNodes:
    task: TaskSpec
    lock: Path = LOCK

    def verify(
        self,
        parameters: TaskParameters,
        tuning: TuningParameters,
        settings: VerifyConfig,
        split: Path,
        scratch: Path,
        found: dict[str, Any] | None,
    ) -> tuple[Report, str]:
        """Compare the values of tuning and training, then run both; stop if they differ."""
        from seqtune.reporting.page import verify_page

        from .comparison import RunSteps, in_worker
        from .paths import reference
        from .verify import ComparedPaths, VerifyPaths, verify

        data = self.task.open_data(split)
        trial = reference(self.task, parameters, data, tuning.spaces[REFERENCE_STAGE])
        profile_steps = RunSteps(self.task, split, scratch, settings.num_steps)
        sides = ComparedPaths(
            tuning=trial,
            training=trial.resolve_as_training,
            rehearse_tuning=partial(in_worker, profile_steps),
            rehearse_training=profile_steps,
        )
        best = self._check_best(parameters, data, found)
        place = VerifyPaths(split=str(split), scratch=scratch, lock=self.lock)
        report = verify(self.task, data, sides, place=place, best=best)
        page = verify_page(report)
        conclude(report, page, scratch=scratch, stop=settings.on_mismatch == "stop")
        return report, page

    def _check_best(
        self, parameters: TaskParameters, data: TrainingData, found: dict[str, Any] | None
    ) -> Sequence[Check]:
        """Check the best configuration; empty if there is none, or training ignores it."""
        from seqtune.core.parameters import IGNORE

        from .._best_config import read_best_config
        from .._resolution import resolve_run
        from .values import BEST_CONFIG, check_best

        best = read_best_config(found, task=self.task.name)
        if best is None or parameters.best_config == IGNORE:
            return []
        try:
            now = resolve_run(self.task, parameters, data, layer=best.layer)
        except ConfigurationError as error:
            return [Check(BEST_CONFIG, "warn", fault) for fault in error.faults]
        return check_best(best, now, data)


def conclude(report: Report, page: str, *, scratch: Path, stop: bool) -> None:
    """Log one line per check; if one failed, keep the report and stop."""
    checks = [Check(**check) for check in report["checks"]]
    for check in checks:
        for line in check.line.splitlines():
            logger.log(LEVELS[check.status], "%s", line)
    faults = [line for fault in failures(checks) for line in fault.splitlines()]
    if not faults:
        return
    if not stop:
        logger.warning("continuing because of verify_env.on_mismatch=warn")
        return
    folder = scratch / "verify_env"
    kept = folder / "verify_page.html"
    with storage_errors(folder):  # here, because a node that stops saves no dataset
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (folder / "verify_report.json").write_text(text, encoding="utf-8")
        kept.write_text(page, encoding="utf-8")
    raise ConfigurationError(
        [
            *faults,
            f"nothing was trained. The full report: {kept}. To continue anyway: "
            "--params verify_env.on_mismatch=warn",
        ]
    )
