"""Pipeline of the search: its graph shows the method, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec

from .._template import CLUSTER, SCRATCH, of_task
from .nodes import TuneNodes

PARAMETERS = ["params:task", "params:tuning"]
TRIALS = ["test_trials", "quick_trials", "medium_trials"]
FIGURES = ("history", "importance", "parallel", "slices", "curves", "timeline", "pareto")


def create_pipeline(task: TaskSpec) -> Pipeline:
    nodes = TuneNodes(task)
    prepare = Node(
        nodes.prepare,
        inputs=[*PARAMETERS, "split", "study_storage", SCRATCH, CLUSTER, "verify_report"],
        outputs="search",
        name="prepare_search",
        namespace="test",
        tags=["test", "quick", "medium", "seed"],
    )
    stages = [_test(nodes), _quick(nodes), _medium(nodes), _best(nodes), _seed(nodes)]
    return of_task(task.name, [prepare, *stages], stage="tune")


def _test(nodes: TuneNodes) -> Pipeline:
    outputs = ["test_trials", "tune_test_report"]
    return _stage("test", [Node(nodes.test, inputs="search", outputs=outputs, name="tune_test")])


def _quick(nodes: TuneNodes) -> Pipeline:
    results = [*PARAMETERS, "quick_trials", "tune_quick_report"]
    return _stage(
        "quick",
        [
            Node(
                nodes.quick,
                inputs=["search", "test_trials"],
                outputs=["quick_trials", "quick_study", "tune_quick_report"],
                name="tune_quick",
            ),
            Node(
                nodes.analyse_quick, inputs=results, outputs="quick_analysis", name="analyse_quick"
            ),
            _figures(nodes.draw_quick, "quick"),
            Node(
                nodes.narrow,
                inputs=results,
                outputs=["narrowed_space", "narrowing_report", "narrowing_figure"],
                name="narrow",
            ),
        ],
    )


def _medium(nodes: TuneNodes) -> Pipeline:
    return _stage(
        "medium",
        [
            Node(
                nodes.medium,
                inputs=["search", "test_trials", "narrowed_space"],
                outputs=["medium_trials", "medium_study", "tune_medium_report"],
                name="tune_medium",
            ),
            Node(
                nodes.analyse_medium,
                inputs=[*PARAMETERS, "medium_trials", "tune_medium_report", "narrowed_space"],
                outputs="medium_analysis",
                name="analyse_medium",
            ),
            _figures(nodes.draw_medium, "medium"),
        ],
    )


def _best(nodes: TuneNodes) -> Pipeline:
    """It goes on from the medium stage, whose tag it has."""
    return _stage(
        "best",
        [
            Node(nodes.rerank, inputs=["search", *TRIALS], outputs="rerank_report", name="rerank"),
            Node(
                nodes.draw_rerank,
                inputs=[*PARAMETERS, "rerank_report"],
                outputs="rerank_figure",
                name="draw_rerank",
            ),
            Node(
                nodes.choose,
                inputs=["search", *TRIALS, "rerank_report", "quick_analysis", "medium_analysis"],
                outputs=["best_config", "robust_config", "top_configs", "best_config_report"],
                name="best_config",
            ),
        ],
        tag="medium",
    )


def _seed(nodes: TuneNodes) -> Pipeline:
    node = Node(
        nodes.seed,
        inputs=["search", "test_trials", "best_config"],
        outputs=["seed_trials", "tune_seed_report"],
        name="tune_seed",
    )
    return _stage("seed", [node])


def _figures(draw: Callable[..., Any], stage: str) -> Node:
    return Node(
        draw,
        inputs=["params:tuning", f"{stage}_trials", f"{stage}_analysis"],
        outputs=[f"{stage}_{figure}_figure" for figure in FIGURES],
        name=f"draw_{stage}",
    )


def _stage(name: str, nodes: Iterable[Node], *, tag: str = "") -> Pipeline:
    """Group nodes in the graph; datasets keep their names."""
    tags = [tag or name]
    return Pipeline(nodes, namespace=name, prefix_datasets_with_namespace=False, tags=tags)
