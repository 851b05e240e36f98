"""Pipeline that verifies that tuning and training are the same."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import SCRATCH, VERIFY, of_task
from .nodes import VerifyNodes

INPUTS = ["params:task", "params:tuning", VERIFY, "split", SCRATCH, "earlier_best_config"]


def create_pipeline(task: TaskSpec) -> Pipeline:
    node = Node(
        VerifyNodes(task).verify,
        inputs=INPUTS,
        outputs=["verify_report", "verify_page"],
        name="verify_env",
    )
    return of_task(task.name, [node], stage="verify_env")
