"""Joins a task's parameters and its split to the verification."""

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
        """Compare tuning with training, statically and by running both; stop if they differ."""
        from seqtune.reporting.page import verify_page

        from .comparison import RunSteps, in_worker
        from .paths import TrainingPath, reference
        from .verify import ComparedPaths, VerifyPaths, verify

        data = self.task.open_data(split)
        trial = reference(self.task, parameters, data, tuning.spaces[REFERENCE_STAGE])
        profile_steps = RunSteps(self.task, split, scratch, settings.num_steps)
        sides = ComparedPaths(
            tuning=trial,
            training=TrainingPath(trial),
            rehearse_tuning=partial(in_worker, profile_steps),
            rehearse_training=profile_steps,
        )
        best = self._best(parameters, data, found)
        place = VerifyPaths(split=str(split), scratch=scratch, lock=self.lock)
        report = verify(self.task, data, sides, place=place, best=best)
        page = verify_page(report)
        conclude(report, page, scratch=scratch, stop=settings.on_mismatch == "stop")
        return report, page

    def _best(
        self, parameters: TaskParameters, data: TrainingData, found: dict[str, Any] | None
    ) -> Sequence[Check]:
        """Nothing where there is no best configuration, or it is not asked for."""
        from seqtune.core.parameters import IGNORE

        from .._best_config import read_best_config
        from .._resolution import resolve_run
        from .best import check_best

        best = read_best_config(found, task=self.task.name)
        if best is None or parameters.best_config == IGNORE:
            return []
        try:
            now, _ = resolve_run(self.task, parameters, data, layer=best.layer)
        except ConfigurationError as error:
            return [Check("best config", "warn", fault) for fault in error.faults]
        return check_best(best, now, data)


def conclude(report: Report, page: str, *, scratch: Path, stop: bool) -> None:
    """Say one line for each check; where one failed, keep the report and stop."""
    checks = [Check(**check) for check in report["checks"]]
    for check in checks:
        for line in check.line.splitlines():
            logger.log(LEVELS[check.status], "%s", line)
    faults = [line for fault in failures(checks) for line in fault.splitlines()]
    if not faults:
        return
    if not stop:
        logger.warning("going on all the same, because of verify_env.on_mismatch=warn")
        return
    kept = _keep(report, page, scratch / "verify_env")
    raise ConfigurationError(
        [
            *faults,
            f"nothing was trained. All of it: {kept}. To go on all the same: "
            "--params verify_env.on_mismatch=warn",
        ]
    )


def _keep(report: Report, page: str, folder: Path) -> Path:
    """A node that stops saves nothing: the report of what stopped it goes beside."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (folder / "verify_report.json").write_text(text, encoding="utf-8")
        kept = folder / "verify_page.html"
        kept.write_text(page, encoding="utf-8")
    return kept
