"""Each task is made ready once for all tests here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from prepared import Prepared, example_of

from seqtune.core.task import TaskSpec
from seqtune.pipeline_registry import TASKS

EXAMPLES = {task.name: task for task in TASKS}
EXAMPLES["recommend_gru4rec"] = EXAMPLES["recommend"]
"""Tasks by their example; one that has several kinds of models has several."""


@pytest.fixture(scope="session", params=EXAMPLES)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    task: TaskSpec = EXAMPLES[request.param]
    folder = tmp_path_factory.mktemp(f"contract-{request.param}")
    example = example_of(request.param)
    example.write(folder)  # its models are those that the configuration names
    return Prepared(task, folder, example)
