"""Pipeline of the export stage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import EXPORT, SCRATCH, of_task
from .nodes import ExportNodes

INPUTS = [
    "params:task",
    EXPORT,
    SCRATCH,
    "checkpoint",
    "split",
    "ensemble",
    "metrics",
    "ensemble_metrics",
]


def create_pipeline(task: TaskSpec) -> Pipeline:
    node = Node(
        ExportNodes(task).export, inputs=INPUTS, outputs=["export", "export_report"], name="export"
    )
    return of_task(task.name, [node], stage="export")
