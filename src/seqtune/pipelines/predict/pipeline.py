"""Pipeline of the predict stage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import CLUSTER, SCRATCH, of_task
from .nodes import PredictNodes

INPUTS = [
    "params:task",
    SCRATCH,
    "checkpoint",
    "split",
    "raw_new_rows",
    "ensemble",
    "metrics",
    "ensemble_metrics",
    CLUSTER,
]


def create_pipeline(task: TaskSpec) -> Pipeline:
    node = Node(
        PredictNodes(task).predict,
        inputs=[*INPUTS, *(f"raw_{role}" for role in task.predict_sources)],
        outputs=["predictions", "submission", "predict_report"],
        name="predict",
    )
    return of_task(task.name, [node], stage="predict")
