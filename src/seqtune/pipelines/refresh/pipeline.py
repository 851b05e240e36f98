"""Pipeline of the refresh stage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._report_items import exhibit_nodes
from .._template import CLUSTER, REFRESH, SCRATCH, of_task
from .nodes import RefreshNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    stage = RefreshNodes(task)
    nodes = [
        Node(
            stage.describe_changes,
            inputs=["validated_checkpoint", "split", REFRESH],
            outputs=["previous_checkpoint", "data_changes_report"],
            name="describe_changes",
        ),
        Node(
            stage.refresh,
            inputs=[
                "params:task",
                REFRESH,
                "split",
                "previous_checkpoint",
                "best_config",
                SCRATCH,
                CLUSTER,
            ],
            outputs=["checkpoint", "refresh_report"],
            name="refresh",
        ),
        Node(
            stage.evaluate,
            inputs=["checkpoint", "split"],
            outputs="metrics",
            name="evaluate_refreshed",
        ),
        *exhibit_nodes(task, "metrics", name="draw_refreshed_metrics"),
    ]
    return of_task(task.name, nodes, stage="refresh")
