"""Wires the ingest stage of a task."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH, of_task
from .nodes import IngestNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = IngestNodes(task)
    return of_task(
        task.name,
        [
            Node(
                nodes.ingest,
                inputs=["params:task", SCRATCH, *(f"raw_{role}" for role in nodes.roles)],
                outputs=[task.ingested, "ingest_report"],
                name="ingest",
            )
        ],
        stage="ingest",
    )
