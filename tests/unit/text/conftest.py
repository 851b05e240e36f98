"""One tiny model of each kind, made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_models import MAKERS

TEXTS = [
    "안녕하세요, 오늘 날씨가 좋네요.",
    "#Person1#: Where shall we meet? #Person2#: At the station.",
    "Hello world, this is a test of tiny models!",
] * 20


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by kind; for reading only."""
    folder = tmp_path_factory.mktemp("models")
    return {kind: make(folder / kind, TEXTS) for kind, make in MAKERS.items()}


@pytest.fixture
def copied(models: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a model, to be changed."""
    return lambda kind: Path(shutil.copytree(models[kind], tmp_path / kind))
