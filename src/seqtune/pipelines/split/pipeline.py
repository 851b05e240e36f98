"""Pipeline of the split stage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH, of_task
from .nodes import SplitNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    node = Node(
        SplitNodes(task).split,
        inputs=["params:task", SCRATCH, task.ingested],
        outputs=["split", "split_report"],
        name="split",
    )
    return of_task(task.name, [node], stage="split")
