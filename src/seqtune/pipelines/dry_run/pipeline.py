"""Wires the dry run of a task, which stands in the place of everything after the split."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import CLUSTER, SCRATCH, of_task
from .nodes import DryRunNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = DryRunNodes(task)
    return of_task(
        task.name,
        [
            Node(
                nodes.dry_run,
                inputs=["params:task", "params:tuning", "split", "split_report", SCRATCH, CLUSTER],
                outputs="dry_run_report",
                name="dry_run",
            )
        ],
        stage="dry_run",
    )
