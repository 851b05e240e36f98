"""The common wiring of every stage: nodes of one task under its namespace."""

from __future__ import annotations

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

SCRATCH = "scratch"


def of_task(task: str, nodes: Iterable[Node], *, stage: str) -> Pipeline:
    """Put the nodes of a stage under the namespace of a task.

    `params:task` stands for the task's checked parameters as a whole, `scratch` is one for all.
    """
    template = Pipeline(list(nodes), tags=[stage])
    shared = {SCRATCH} & template.inputs()
    return Pipeline(
        template,
        namespace=task,
        inputs=shared,
        parameters={"params:task": f"params:{task}"} if _reads_parameters(template) else None,
    )


def _reads_parameters(pipeline: Pipeline) -> bool:
    return "params:task" in pipeline.inputs()
