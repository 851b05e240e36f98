"""Wires the predict stage of a task."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import CLUSTER, SCRATCH, of_task
from .nodes import PredictNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = PredictNodes(task)
    return of_task(
        task.name,
        [
            Node(
                nodes.predict,
                inputs=[
                    "params:task",
                    SCRATCH,
                    "checkpoint",
                    "split",
                    "raw_new_rows",
                    "ensemble",
                    CLUSTER,
                ],
                outputs=["predictions", "submission", "predict_report"],
                name="predict",
            )
        ],
        stage="predict",
    )
