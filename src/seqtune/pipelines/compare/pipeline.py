"""Pipeline of the compare stage."""

from __future__ import annotations

from dataclasses import replace

from kedro.pipeline import Node, Pipeline

from seqtune.core.reports import COMPARISONS, SEGMENT_CHART, SEGMENTS
from seqtune.core.task import TaskSpec

from .._report_items import exhibit_nodes
from .._template import COMPARE, SCRATCH, of_task
from .nodes import CompareNodes

INPUTS = [COMPARE, SCRATCH, "split", "checkpoint", "ensemble", "raw_answers", "test_results"]


def create_pipeline(task: TaskSpec) -> Pipeline:
    shown = replace(task, figures=(SEGMENT_CHART,), tables=(COMPARISONS, SEGMENTS))
    nodes = [
        Node(CompareNodes(task).compare, inputs=INPUTS, outputs="compare_report", name="compare"),
        *exhibit_nodes(shown, "compare_report", name="draw_comparison", prefix="compare_"),
    ]
    return of_task(task.name, nodes, stage="compare")
