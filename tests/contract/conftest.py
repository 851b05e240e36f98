"""Each task is made ready once for all tests here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from prepared import Prepared, example_of

from seqtune.contracts.task import TaskSpec
from seqtune.pipeline_registry import TASKS


@pytest.fixture(scope="session", params=TASKS, ids=lambda task: task.name)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    task: TaskSpec = request.param
    folder = tmp_path_factory.mktemp(f"contract-{task.name}")
    example = example_of(task.name)
    example.write(folder)  # its models are those that the configuration names
    return Prepared(task, folder, example)
