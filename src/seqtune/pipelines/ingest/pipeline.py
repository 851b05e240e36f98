"""Pipeline of the ingest stage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH, of_task
from .nodes import IngestNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    stage = IngestNodes(task)
    node = Node(
        stage.ingest,
        inputs=["params:task", SCRATCH, *(f"raw_{role}" for role in stage.roles)],
        outputs=[task.ingested, "ingest_report"],
        name="ingest",
    )
    return of_task(task.name, [node], stage="ingest")
