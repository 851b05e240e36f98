"""What every task with sample data keeps to."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from seqtune.core.errors import ConfigurationError
from seqtune.core.sample import SampleParameters
from seqtune.core.task import TaskSpec
from seqtune.pipelines.sample import create_pipeline
from seqtune.pipelines.sample.nodes import SampleNodes
from seqtune.tasks import find_tasks

ENABLED = SampleParameters(enabled=True)


@pytest.fixture(
    params=[task for task in find_tasks() if task.sample_files], ids=lambda task: task.name
)
def task(request: pytest.FixtureRequest) -> TaskSpec:
    found: TaskSpec = request.param
    return found


def test_node_returns_one_path_for_every_output(task: TaskSpec, tmp_path: Path) -> None:
    paths = SampleNodes(task).write(ENABLED, tmp_path)

    outputs = create_pipeline(task).nodes[0].outputs
    assert [f"sample_{path.stem}" for path in paths] == outputs
    assert all(path.exists() for path in paths)


def test_node_refuses_where_it_is_not_switched_on(task: TaskSpec, tmp_path: Path) -> None:
    message = rf"sample\.enabled=false: .*--pipelines {task.name}\.sample --env sample"
    with pytest.raises(ConfigurationError, match=message):
        SampleNodes(task).write(SampleParameters(), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_every_output_has_a_place_of_its_own_in_the_raw_data_of_the_task(
    task: TaskSpec, repository: Path
) -> None:
    catalog = yaml.safe_load((repository / "conf/base/catalog_sample.yml").read_text())
    places = [catalog[output]["filepath"] for output in create_pipeline(task).outputs()]

    assert all(place.startswith(f"${{globals:data}}/01_raw/{task.name}/") for place in places)
    assert len(set(places)) == len(task.sample_files)
