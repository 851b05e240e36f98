"""Pipeline of the train stage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._report_items import exhibit_nodes
from .._template import CLUSTER, SCRATCH, VERIFY, of_task
from .nodes import TrainNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    stage = TrainNodes(task)
    nodes = [
        Node(
            stage.resolve,
            inputs=[
                "params:task",
                VERIFY,
                "split",
                "validated_checkpoint",
                "best_config",
                "verify_report",
            ],
            outputs=["resolved_config", "config"],
            name="resolve_config",
        ),
        Node(
            stage.fit,
            inputs=["resolved_config", "split", SCRATCH, CLUSTER],
            outputs="checkpoint",
            name="train",
        ),
        Node(stage.evaluate, inputs=["checkpoint", "split"], outputs="metrics", name="evaluate"),
        *exhibit_nodes(task, "metrics", name="draw_metrics"),
    ]
    return of_task(task.name, nodes, stage="train")
