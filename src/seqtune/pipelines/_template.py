"""The common wiring of every stage: nodes of one task under its namespace."""

from __future__ import annotations

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

SCRATCH = "scratch"


def of_task(task: str, nodes: Iterable[Node], *, stage: str) -> Pipeline:
    """Put the nodes of a stage under `<task>.<stage>`, and its datasets under `<task>`.

    Stages meet in datasets, so these do not belong to any of them. `params:task` stands for the
    task's checked parameters as a whole, `scratch` is one for all.
    """
    template = Pipeline(
        list(nodes), namespace=stage, prefix_datasets_with_namespace=False, tags=[stage]
    )
    shared = {SCRATCH} & template.inputs()
    return Pipeline(
        template,
        namespace=task,
        inputs=shared,
        parameters={"params:task": f"params:{task}"} if _reads_parameters(template) else None,
    )


def _reads_parameters(pipeline: Pipeline) -> bool:
    return "params:task" in pipeline.inputs()
