"""Wires the stages of a search: the graph reads as the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import CLUSTER, SCRATCH, of_task
from .nodes import TuneNodes

PARAMETERS = ["params:task", "params:tuning"]
FIGURES = ("history", "importance", "parallel", "slices", "curves", "timeline", "pareto")


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = TuneNodes(task)
    return of_task(
        task.name,
        [
            _search(nodes),
            *_test(nodes),
            *_quick(nodes),
            *_medium(nodes),
            *_best(nodes),
            *_seed(nodes),
        ],
        stage="tune",
    )


def _search(nodes: TuneNodes) -> Node:
    return Node(
        nodes.prepare,
        inputs=[*PARAMETERS, "split", "study_storage", SCRATCH, CLUSTER, "verify_report"],
        outputs="search",
        name="prepare_search",
        namespace="test",
        tags=["test", "quick", "medium", "seed"],
    )


def _test(nodes: TuneNodes) -> list[Node]:
    return [
        Node(
            nodes.test,
            inputs="search",
            outputs=["test_trials", "tune_test_report"],
            name="tune_test",
            namespace="test",
            tags="test",
        )
    ]


def _quick(nodes: TuneNodes) -> list[Node]:
    return [
        Node(
            nodes.quick,
            inputs=["search", "test_trials"],
            outputs=["quick_trials", "quick_study", "tune_quick_report"],
            name="tune_quick",
            namespace="quick",
            tags="quick",
        ),
        Node(
            nodes.analyse_quick,
            inputs=[*PARAMETERS, "quick_trials", "tune_quick_report"],
            outputs="quick_analysis",
            name="analyse_quick",
            namespace="quick",
            tags="quick",
        ),
        _figures(nodes.draw_quick, "quick"),
        Node(
            nodes.narrow,
            inputs=[*PARAMETERS, "quick_trials", "tune_quick_report"],
            outputs=["narrowed_space", "narrowing_report", "narrowing_figure"],
            name="narrow",
            namespace="quick",
            tags="quick",
        ),
    ]


def _medium(nodes: TuneNodes) -> list[Node]:
    return [
        Node(
            nodes.medium,
            inputs=["search", "test_trials", "narrowed_space"],
            outputs=["medium_trials", "medium_study", "tune_medium_report"],
            name="tune_medium",
            namespace="medium",
            tags="medium",
        ),
        Node(
            nodes.analyse_medium,
            inputs=[*PARAMETERS, "medium_trials", "tune_medium_report", "narrowed_space"],
            outputs="medium_analysis",
            name="analyse_medium",
            namespace="medium",
            tags="medium",
        ),
        _figures(nodes.draw_medium, "medium"),
    ]


def _best(nodes: TuneNodes) -> list[Node]:
    return [
        Node(
            nodes.rerank,
            inputs=["search", "test_trials", "quick_trials", "medium_trials"],
            outputs="rerank_report",
            name="rerank",
            namespace="best",
            tags="medium",
        ),
        Node(
            nodes.draw_rerank,
            inputs=[*PARAMETERS, "rerank_report"],
            outputs="rerank_figure",
            name="draw_rerank",
            namespace="best",
            tags="medium",
        ),
        Node(
            nodes.choose,
            inputs=[
                "search",
                "test_trials",
                "quick_trials",
                "medium_trials",
                "rerank_report",
                "quick_analysis",
                "medium_analysis",
            ],
            outputs=["best_config", "robust_config", "top_configs", "best_config_report"],
            name="best_config",
            namespace="best",
            tags="medium",
        ),
    ]


def _seed(nodes: TuneNodes) -> list[Node]:
    return [
        Node(
            nodes.seed,
            inputs=["search", "test_trials", "best_config"],
            outputs=["seed_trials", "tune_seed_report"],
            name="tune_seed",
            namespace="seed",
            tags="seed",
        )
    ]


def _figures(draw: Callable[..., Any], stage: str) -> Node:
    return Node(
        draw,
        inputs=["params:tuning", f"{stage}_trials", f"{stage}_analysis"],
        outputs=[f"{stage}_{figure}_figure" for figure in FIGURES],
        name=f"draw_{stage}",
        namespace=stage,
        tags=stage,
    )
