"""Pipeline of the dry run, which replaces everything after the split."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import CLUSTER, SCRATCH, of_task
from .nodes import DryRunNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    node = Node(
        DryRunNodes(task).dry_run,
        inputs=["params:task", "params:tuning", "split", "split_report", SCRATCH, CLUSTER],
        outputs="dry_run_report",
        name="dry_run",
    )
    return of_task(task.name, [node], stage="dry_run")
