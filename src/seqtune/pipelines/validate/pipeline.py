"""Pipeline that validates a task's final configuration."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH, VALIDATE, of_task
from .nodes import ValidateNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    node = Node(
        ValidateNodes(task).validate,
        inputs=["resolved_config", "split", SCRATCH, VALIDATE],
        outputs="validate_report",
        name="validate",
    )
    return of_task(task.name, [node], stage="validate")
