"""Pipeline of the ensemble stage."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._report_items import exhibit_nodes
from .._template import CLUSTER, ENSEMBLE, SCRATCH, VERIFY, of_task
from .nodes import EnsembleNodes

MEMBERS = ["ensemble_plan", "params:tuning", "split", "checkpoint", SCRATCH, "members", CLUSTER]


def create_pipeline(task: TaskSpec) -> Pipeline:
    stage = EnsembleNodes(task)
    nodes = [
        Node(
            stage.choose,
            inputs=["params:task", ENSEMBLE, VERIFY, "split", "checkpoint", "top_configs"],
            outputs="ensemble_plan",
            name="choose_members",
        ),
        Node(stage.train, inputs=MEMBERS, outputs="trained_members", name="train_members"),
        Node(
            stage.weigh,
            inputs=["ensemble_plan", "trained_members", ENSEMBLE, "split", SCRATCH],
            outputs=["ensemble", "ensemble_report"],
            name="weigh_members",
        ),
        Node(
            stage.evaluate,
            inputs=["ensemble", ENSEMBLE, "split", "test_results", "metrics"],
            outputs="ensemble_metrics",
            name="evaluate_ensemble",
        ),
        *exhibit_nodes(task, "ensemble_metrics", name="draw_ensemble", prefix="ensemble_"),
    ]
    return of_task(task.name, nodes, stage="ensemble")
