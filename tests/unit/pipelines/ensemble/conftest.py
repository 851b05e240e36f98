"""A split, a checkpoint "trained" on it, the trials of a search; members that are only files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqtune.core.checkpoint import open_checkpoint
from seqtune.core.config import EnsembleConfig, VerifyConfig
from seqtune.core.parameters import TaskParameters
from seqtune.core.task import TrainingData
from seqtune.pipelines._best_config import BestConfig
from seqtune.pipelines.ensemble.member_selection import MemberSelector
from seqtune.tasks.recommend import TASK

sys.path.insert(0, str(Path(__file__).parent))

from toy_members import described, write_checkpoint

Choose = Callable[..., MemberSelector]
WriteCheckpoint = Callable[..., Path]


@pytest.fixture
def data(split_folder: Path) -> TrainingData:
    opened: TrainingData = TASK.open_data(split_folder)
    return opened


@pytest.fixture
def trials(small_parameters: TaskParameters, data: TrainingData) -> list[BestConfig]:
    """Four trials, best first."""
    return [
        described(small_parameters, data, trial=trial, params={"training.lr": trial / 1000})
        for trial in (1, 2, 3, 4)
    ]


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """The folder of the dataset `checkpoint`."""
    return tmp_path / "checkpoint"


@pytest.fixture
def trained(
    small_parameters: TaskParameters, data: TrainingData, trials: list[BestConfig], versions: Path
) -> Path:
    """The newest version of the dataset `checkpoint`: the first trial."""
    config = small_parameters.resolve("none", best=trials[0].layer).config
    return write_checkpoint(versions / "2026-01-01" / "checkpoint", config, data)


@pytest.fixture
def choose(
    small_parameters: TaskParameters, data: TrainingData, trials: list[BestConfig], trained: Path
) -> Choose:
    """A Chooser with some of it changed."""

    def make(
        *,
        parameters: TaskParameters = small_parameters,
        trials: list[BestConfig] = trials,
        data: TrainingData = data,
        trained: Path = trained,
        verify: VerifyConfig | None = None,
        **settings: Any,
    ) -> MemberSelector:
        return MemberSelector(
            task=TASK,
            parameters=parameters,
            settings=EnsembleConfig(**{"baselines": ("none",), **settings}),
            verify=verify or VerifyConfig(),
            data=data,
            trained=open_checkpoint(trained),
            trials=trials,
        )

    return make


@pytest.fixture
def new_checkpoint(small_parameters: TaskParameters, data: TrainingData) -> WriteCheckpoint:
    """Writes a checkpoint of the small configuration with another seed."""

    def write(folder: Path, *, seed: int = 7, **values: Any) -> Path:
        config = small_parameters.resolve("none").config.model_copy(update={"seed": seed})
        return write_checkpoint(folder, config, data, **values)

    return write
