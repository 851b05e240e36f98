"""What several files of tests look at and none changes: a split, and three checkpoints of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtune.tasks.summarize.data import SummarizeData
from seqtune.tasks.summarize.params import SummarizeConfig

from .checkpoint_folders import trained, write_checkpoint
from .examples import BASES, config_of, make_model, rows, write_split

GENERATION = {"beams": 1, "do_sample": True, "temperature": 0.8, "max_new_tokens": 16}
"""Drawn, so that barely trained members differ from row to row."""


@pytest.fixture(scope="session")
def food(tmp_path_factory: pytest.TempPathFactory) -> SummarizeData:
    """A split of 24, 12 and 8 dialogues; those of test have two references."""
    found = rows(44)
    test = [(dialogue, [*own, f"They have {own[0].split()[2]}."]) for dialogue, own in found[36:]]
    return write_split(tmp_path_factory.mktemp("food") / "split", found[:24], found[24:36], test)


@pytest.fixture(scope="session")
def tiny_bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "kobart", "kobart", rows(44))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The bases of adapters, by name."""
    folder = tmp_path_factory.mktemp("bases")
    return {name: make_model(folder / name, name, rows(10)) for name in BASES}


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> SummarizeData:
    """Six dialogues to train on, and four."""
    return write_split(tmp_path_factory.mktemp("six") / "split", rows(6), rows(4, start=6))


@pytest.fixture(scope="session")
def bart_config(tiny_bart: Path) -> SummarizeConfig:
    return config_of(tiny_bart, generation=GENERATION)


@pytest.fixture(scope="session")
def three(
    tmp_path_factory: pytest.TempPathFactory, food: SummarizeData, tiny_bart: Path
) -> dict[str, Path]:
    """Three checkpoints that differ in seed and in how long they were trained."""
    made = {}
    for seed, steps in enumerate((25, 60, 120), start=1):
        config = config_of(tiny_bart, generation=GENERATION)
        config = config.model_copy(update={"seed": seed})
        module = trained(config, food, steps=steps)
        folder = tmp_path_factory.mktemp("checkpoints") / f"c{seed}"
        made[f"m{seed}"] = write_checkpoint(folder, module, config, food)
    return made
