"""Nodes of the export stage."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.errors import ConfigurationError
from seqtune.core.task import Report, TaskSpec

from .._scratch import scratch_folder

if TYPE_CHECKING:
    from seqtune.core.config import ExportConfig
    from seqtune.core.parameters import TaskParameters

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportNodes:
    task: TaskSpec

    def export(
        self,
        parameters: TaskParameters,
        settings: ExportConfig,
        scratch: Path,
        checkpoint: Path,
        split: Path,
        ensemble: Path | None,
        metrics: Report | None,
        ensemble_metrics: Report | None,
    ) -> tuple[Path, Report]:
        """Export the model that `predict` would choose; the manifest is written last."""
        from seqtune.inference.onnx import require_packages

        from .._model_choice import ENSEMBLE, ModelChoice
        from .folder import finish

        if self.task.export is None:
            raise ConfigurationError(f"models of {self.task.name} cannot be exported")
        require_packages()
        data, predict = self.task.open_data(split), parameters.predict
        choice = ModelChoice(
            self.task.name, predict, data, checkpoint, ensemble, metrics, ensemble_metrics
        )
        chosen = choice.choose()
        measured = ensemble_metrics if chosen.kind == ENSEMBLE else metrics
        with scratch_folder(scratch, "export") as base:
            out = base / "export"
            out.mkdir()
            manifest, report = self.task.export(chosen.path, data, predict, settings, out=out)
            lines = [f"exported the {chosen.kind} ({chosen.why})", *report["headline"]]
            if warning := choice.floor_warning(chosen):
                lines.append(warning)
            for line in lines:
                logger.info("%s", line)
            report = {**report, "headline": lines, "model": chosen.kind, "model_why": chosen.why}
            finish(out, self.task.name, manifest, report, measured)
        return out, {**report, "fingerprint": manifest["fingerprint"]}
