"""Wires the generator of a task's sample data."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.contracts.task import TaskSpec

from .._template import SCRATCH
from .nodes import SampleNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    """One node, or none for a task without sample data."""
    if task.generate_sample is None:
        return Pipeline([])
    node = Node(
        SampleNodes(task).generate,
        inputs=["params:sample", SCRATCH],
        outputs=[f"sample_{name}" for name in task.sample_files],
        name=f"generate_{task.name}_sample",
    )
    return Pipeline([node], tags=["sample"])
