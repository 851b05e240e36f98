"""Pipeline that writes the sample data of a task."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH
from .nodes import SampleNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    """Build one node, whose outputs are named after the files: `sample_<name>`."""
    names = [name.rpartition("/")[2].partition(".")[0] for name in task.sample_files]
    node = Node(
        SampleNodes(task).write,
        inputs=["params:sample", SCRATCH],
        outputs=[f"sample_{name}" for name in names],
        name=f"write_{task.name}_sample",
    )
    return Pipeline([node], tags=["sample"])
