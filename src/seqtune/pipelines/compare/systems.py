"""The models to compare, and what a comparison on test has to respect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seqtune.core import checkpoint as checkpoints
from seqtune.core import ensemble as ensembles
from seqtune.core.config import CompareConfig
from seqtune.core.ensemble import is_ensemble, open_ensemble
from seqtune.core.errors import ConfigurationError
from seqtune.core.task import OURS, TaskSpec, TrainingData

from .._test_ledger import TestLedger, describe_openings
from .._versions import find_model, known_versions, versions_folder

ENSEMBLE = "ensemble"
MANIFESTS = (checkpoints.MANIFEST, ensembles.MANIFEST)
FLATTERED = (
    "the weights of an ensemble, and the epoch at which a training stopped, were chosen on valid: "
    "there their lead looks a little larger than it is"
)


def choose_models(
    settings: CompareConfig, data: TrainingData, checkpoint: Path, ensemble: Path | None
) -> tuple[dict[str, Path], list[str]]:
    """Return the newest checkpoint, the newest ensemble if it is of this split, and those named;
    and notes for the report."""
    models, notes = {OURS: checkpoint}, []
    if ensemble is not None:
        if open_ensemble(ensemble).manifest.data_hash == data.content_hash:
            models[ENSEMBLE] = ensemble
        else:
            notes.append(f"{ENSEMBLE}: left out, the newest one was made on another split")
    places = [versions_folder(one) for one in (checkpoint, ensemble) if one is not None]
    faults = []
    for name in settings.models:
        folder = find_model(name, places, MANIFESTS)
        if folder is None:
            faults.append(_not_found(name, places))
        else:
            models[_short(name)] = folder
    if faults:
        raise ConfigurationError(faults)
    if settings.part == "valid":
        notes.append(FLATTERED)
    return models, notes


def open_test(
    task: TaskSpec, models: Mapping[str, Path], data: TrainingData, ledger: TestLedger
) -> list[str]:
    """Enter every ensemble in the ledger of test; refuse test where a task keeps it for one model.

    Single checkpoints of other tasks are scored on test in training as well (decision 0026).
    """
    if task.test_once:
        raise ConfigurationError(
            f"compare.part=test: {task.name} scores test for one final model, in the stage "
            "ensemble; compare on valid (compare.part=valid)"
        )
    lines = []
    for path in filter(is_ensemble, models.values()):
        scored = ledger.score(
            ensemble=open_ensemble(path).manifest.fingerprint,
            test=data.test_hash,
            evaluate=lambda parts, path=path: task.evaluate(path, data, parts=parts),
        )
        lines = describe_openings(scored)
    return ["these differences are on test: choose on valid, and read them once", *lines]


def _not_found(name: str, places: list[Path]) -> str:
    return (
        f"compare.models: {name!r} is neither the folder of a checkpoint or an ensemble nor a "
        f"version below {' or '.join(map(str, places))}, which have {known_versions(places)}"
    )


def _short(name: str) -> str:
    """Name a system by its version, or by the last part of its folder."""
    return Path(name).name or name
