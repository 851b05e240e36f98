"""The choice between the checkpoint and the ensemble made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import Section
from seqtune.core.ensemble import open_ensemble
from seqtune.core.errors import ConfigurationError
from seqtune.core.task import TrainingData

AUTO, CHECKPOINT, ENSEMBLE = "auto", "checkpoint", "ensemble"


@dataclass(frozen=True)
class ChosenModel:
    """The folder of the model that predicts."""

    kind: str
    path: Path
    why: str


def choose_model(
    settings: Section,
    checkpoint: Path,
    ensemble: Path | None,
    data: TrainingData,
    *,
    task: str,
) -> ChosenModel:
    """Choose by `<task>.predict.model`; auto takes the ensemble if it fits checkpoint and data."""
    wanted: str = getattr(settings, "model", CHECKPOINT)
    asked = f"{task}.predict.model={wanted}"
    if wanted == CHECKPOINT:
        return ChosenModel(CHECKPOINT, checkpoint, asked)
    if wanted == ENSEMBLE:
        if ensemble is None:
            raise ConfigurationError(
                f"{asked}, but there is no ensemble; make one first (kedro run --pipelines "
                f"{task}.ensemble, or kedro run --pipelines ensemble for the default task), or "
                "choose auto or checkpoint"
            )
        return ChosenModel(ENSEMBLE, ensemble, asked)
    reason = _reason_against(settings, checkpoint, ensemble, data)
    if reason or ensemble is None:
        return ChosenModel(CHECKPOINT, checkpoint, f"{asked}: {reason}")
    return ChosenModel(ENSEMBLE, ensemble, f"{asked}: it was made beside this checkpoint")


def _reason_against(
    settings: Section, checkpoint: Path, ensemble: Path | None, data: TrainingData
) -> str:
    """Say why auto does not take the ensemble; empty if it does."""
    if ensemble is None:
        return "there is no ensemble"
    if getattr(settings, "weights", "best") != "best":
        return "other weights than the best are asked for, and an ensemble is made of the best"
    manifest = open_ensemble(ensemble).manifest
    if manifest.reference != open_checkpoint(checkpoint).manifest.fingerprint:
        return "the ensemble was made beside another checkpoint"
    if manifest.data_hash != data.content_hash:
        return "the ensemble was made on another split"
    return ""
