"""Baselines as members: which ones join, and how a fitted one becomes a checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from seqtune.core.checkpoint import ASSETS, HISTORY, Weights, file_hash, write_manifest
from seqtune.core.config import EnsembleConfig, RunConfig, canonical_json, library_versions
from seqtune.core.errors import TrainingError, did_you_mean
from seqtune.core.files import reset_permissions, write_json
from seqtune.core.task import TaskSpec, TrainingData

from .members import PlannedMember

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

WEIGHTS = "best.safetensors"


def baselines_to_weigh(
    task: TaskSpec, settings: EnsembleConfig, data: TrainingData, config: RunConfig
) -> Sequence[str]:
    """Return the names of the baselines that join. `auto`: where weights are searched, all that the
    trained model of this configuration does not hold already."""
    if settings.names_baselines:
        return tuple(dict.fromkeys(settings.baselines))
    if settings.baselines != ("auto",) or not settings.searches_weights or not data.has_validation:
        return ()
    return tuple(
        name
        for name, spec in task.baselines.items()
        if spec.is_inside is None or not spec.is_inside(config)
    )


def unknown_baselines(task: TaskSpec, settings: EnsembleConfig) -> list[str]:
    """Describe each named baseline that the task does not offer."""
    return [
        f"ensemble.baselines: {name!r} is not a baseline of {task.name} that can be a member; "
        f"{did_you_mean(name, task.baselines)}"
        for name in settings.baselines
        if settings.names_baselines and name not in task.baselines
    ]


def plan_baseline(task: TaskSpec, name: str, config: RunConfig, *, trained: str) -> PlannedMember:
    """Plan a member that is fitted on the split of the checkpoint with the fingerprint `trained`,
    and takes its settings of reading and evaluation."""
    versions = library_versions((*config.libraries, *task.baselines[name].libraries))
    content = {"baseline": name, "beside": trained, "versions": versions}
    key = sha256(canonical_json(content).encode()).hexdigest()[:16]
    return PlannedMember(name, f"the baseline {name}", key, config=config, baseline=name)


def fit_baseline(
    task: TaskSpec, member: PlannedMember, data: TrainingData, directory: Path
) -> Path:
    """Fit a baseline and write it as a checkpoint to `directory/checkpoint`, the manifest last."""
    if member.config is None:
        raise TrainingError(f"{member.origin} has no configuration to read data with")
    start = time.perf_counter()
    folder = directory / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / ASSETS).mkdir(parents=True)
    spec = task.baselines[member.baseline]
    arrays = spec.fit(data, member.config, assets=folder / ASSETS)
    _write_arrays(folder / WEIGHTS, arrays, name=member.baseline)
    write_json(folder / HISTORY, [])
    weights = Weights(file=WEIGHTS, sha256=file_hash(folder / WEIGHTS), epoch=1, metrics={})
    write_manifest(
        folder,
        member.config,
        libraries=spec.libraries,
        fingerprint=member.fingerprint,
        data_hash=data.content_hash,
        assets_hash=data.assets_hash,
        baseline=member.baseline,
        best=weights,
        last=weights,
        epochs_planned=1,
        stopped="fitted",
        seconds=time.perf_counter() - start,
    )
    return folder


def _write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]], *, name: str) -> None:
    from safetensors.numpy import save_file

    # the name makes the files of two baselines without arrays differ
    save_file(dict(arrays), path, metadata={"baseline": name})
    reset_permissions(path)
