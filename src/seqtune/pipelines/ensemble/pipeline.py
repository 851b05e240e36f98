"""Wires the ensemble of a task."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._report_items import exhibit_nodes
from .._template import CLUSTER, ENSEMBLE, SCRATCH, VERIFY, of_task
from .nodes import EnsembleNodes


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = EnsembleNodes(task)
    return of_task(
        task.name,
        [
            Node(
                nodes.choose,
                inputs=["params:task", ENSEMBLE, VERIFY, "split", "checkpoint", "top_configs"],
                outputs="ensemble_plan",
                name="choose_members",
            ),
            Node(
                nodes.train,
                inputs=[
                    "ensemble_plan",
                    "params:tuning",
                    "split",
                    "checkpoint",
                    SCRATCH,
                    "members",
                    CLUSTER,
                ],
                outputs="trained_members",
                name="train_members",
            ),
            Node(
                nodes.weigh,
                inputs=["ensemble_plan", "trained_members", ENSEMBLE, "split", SCRATCH],
                outputs=["ensemble", "ensemble_report"],
                name="weigh_members",
            ),
            Node(
                nodes.evaluate,
                inputs=["ensemble", ENSEMBLE, "split", "test_results", "metrics"],
                outputs="ensemble_metrics",
                name="evaluate_ensemble",
            ),
            *exhibit_nodes(task, "ensemble_metrics", name="draw_ensemble", prefix="ensemble_"),
        ],
        stage="ensemble",
    )
