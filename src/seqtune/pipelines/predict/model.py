"""What predicts: the checkpoint, or the ensemble that was made beside it."""

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
    """The folder that is predicted with."""

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
    """By `<task>.predict.model`; auto: the ensemble of this checkpoint on these data, if any."""
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
    if unfit := _why_not(settings, checkpoint, ensemble, data):
        return ChosenModel(CHECKPOINT, checkpoint, f"{asked}: {unfit}")
    return ChosenModel(
        ENSEMBLE, ensemble or checkpoint, f"{asked}: it was made beside this checkpoint"
    )


def _why_not(settings: Section, checkpoint: Path, ensemble: Path | None, data: TrainingData) -> str:
    """Why auto does not take the ensemble; empty where it does."""
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
