"""A split and a checkpoint trained on it, made once for those who only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtune.tasks.classify import TASK
from seqtune.tasks.classify.data import ClassifyData

from .examples import make_model, make_split, tiny_config


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> ClassifyData:
    return make_split(tmp_path_factory.mktemp("splits") / "split")


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory, small_data: ClassifyData) -> Path:
    from seqtune.training import fit

    folder = tmp_path_factory.mktemp("trained")
    config = tiny_config(make_model(folder / "model"), training={"epochs": 1})
    directory = folder / "run"
    return fit(
        TASK, config, small_data, directory=directory, fingerprint="f" * 16, progress=False
    ).checkpoint
