"""Wires the verification of a task."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH, VERIFY, of_task
from .nodes import VerifyNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = VerifyNodes(task)
    return of_task(
        task.name,
        [
            Node(
                nodes.verify,
                inputs=[
                    "params:task",
                    "params:tuning",
                    VERIFY,
                    "split",
                    SCRATCH,
                    "earlier_best_config",
                ],
                outputs=["verify_report", "verify_page"],
                name="verify_env",
            )
        ],
        stage="verify_env",
    )
