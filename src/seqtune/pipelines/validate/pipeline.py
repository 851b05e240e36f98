"""Wires the validation of a task's final configuration."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH, VALIDATE, of_task
from .nodes import ValidateNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = ValidateNodes(task)
    return of_task(
        task.name,
        [
            Node(
                nodes.validate,
                inputs=["resolved_config", "split", SCRATCH, VALIDATE],
                outputs="validate_report",
                name="validate",
            )
        ],
        stage="validate",
    )
