"""The choice between the checkpoint and the ensemble made from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seqtune.core.checkpoint import CheckpointManifest, open_checkpoint
from seqtune.core.config import Section
from seqtune.core.ensemble import EnsembleManifest, open_ensemble
from seqtune.core.errors import ConfigurationError
from seqtune.core.metrics import values_of
from seqtune.core.task import OURS, Report, TrainingData

CHECKPOINT, ENSEMBLE = "checkpoint", "ensemble"
VALID = "valid"


@dataclass(frozen=True)
class ChosenModel:
    """The folder of the model that predicts."""

    kind: str
    path: Path
    why: str


@dataclass(frozen=True)
class ModelChoice:
    """What there is to choose from, and what was measured of it on valid."""

    task: str
    settings: Section
    data: TrainingData
    checkpoint: Path
    ensemble: Path | None
    metrics: Report | None
    ensemble_metrics: Report | None

    def choose(self) -> ChosenModel:
        """Choose by `<task>.predict.model`; auto takes the better one on valid."""
        wanted: str = getattr(self.settings, "model", CHECKPOINT)
        asked = f"{self.task}.predict.model={wanted}"
        if wanted == CHECKPOINT:
            return ChosenModel(CHECKPOINT, self.checkpoint, asked)
        if wanted == ENSEMBLE:
            if self.ensemble is None:
                raise ConfigurationError(
                    f"{asked}, but there is no ensemble; make one first (kedro run --pipelines "
                    f"{self.task}.ensemble, or kedro run --pipelines ensemble for the default "
                    "task), or choose auto or checkpoint"
                )
            return ChosenModel(ENSEMBLE, self.ensemble, asked)
        reason = self._reason_against_ensemble()
        if reason or self.ensemble is None:
            return ChosenModel(CHECKPOINT, self.checkpoint, f"{asked}: {reason}")
        return ChosenModel(ENSEMBLE, self.ensemble, f"{asked}: it was made beside this checkpoint")

    def floor_warning(self, chosen: ChosenModel) -> str:
        """Say which baselines the chosen model does not beat on valid; empty if it beats all."""
        values = self._measured(chosen.kind)
        if OURS not in values:
            return ""
        lost = [
            f"{name} {value:.4f}"
            for name, value in values.items()
            if name != OURS and not self._is_better(values[OURS], value)
        ]
        if not lost:
            return ""
        return (
            f"what predicts is not above every baseline on valid: {self._metric} of the "
            f"{chosen.kind} {values[OURS]:.4f}, {', '.join(lost)}; train longer, or tune"
        )

    @cached_property
    def _trained(self) -> CheckpointManifest:
        return open_checkpoint(self.checkpoint).manifest

    @cached_property
    def _combined(self) -> EnsembleManifest | None:
        return open_ensemble(self.ensemble).manifest if self.ensemble else None

    @property
    def _metric(self) -> str:
        return self._trained.monitor.removeprefix("val_")

    def _is_better(self, one: float, other: float) -> bool:
        if self._trained.config["training"].get("monitor_mode") == "min":
            return one < other
        return one > other

    def _reason_against_ensemble(self) -> str:
        """Say why auto does not take the ensemble; empty if it does."""
        manifest = self._combined
        if manifest is None:
            return "there is no ensemble"
        if getattr(self.settings, "weights", "best") != "best":
            return "other weights than the best are asked for, and an ensemble is made of the best"
        if manifest.reference != self._trained.fingerprint:
            return "the ensemble was made beside another checkpoint"
        if manifest.data_hash != self.data.content_hash:
            return "the ensemble was made on another split"
        single, together = (self._measured(kind).get(OURS) for kind in (CHECKPOINT, ENSEMBLE))
        if single is None or together is None or not self._is_better(single, together):
            return ""
        return f"{self._metric} on valid is {single:.4f}, and that of the ensemble {together:.4f}"

    def _measured(self, kind: str) -> dict[str, float]:
        """Return the monitored metric on valid, by model and baseline, where it was measured."""
        if getattr(self.settings, "weights", "best") != "best":
            return {}
        measured = {
            CHECKPOINT: (self.metrics, self._trained),
            ENSEMBLE: (self.ensemble_metrics, self._combined),
        }
        report, manifest = measured[kind]
        if report is None or manifest is None or report.get("fingerprint") != manifest.fingerprint:
            return {}
        is_of_split = report.get("data_hash") == self.data.content_hash
        return values_of(report, VALID, self._metric) if is_of_split else {}
