"""The common wiring of every stage: nodes of one task under its namespace."""

from __future__ import annotations

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

SCRATCH = "scratch"
CLUSTER = "params:cluster"
VERIFY = "params:verify_env"
VALIDATE = "params:validate"
ENSEMBLE = "params:ensemble"


def of_task(task: str, nodes: Iterable[Node | Pipeline], *, stage: str) -> Pipeline:
    """Put the nodes of a stage under `<task>.<stage>`, and its datasets under `<task>`.

    Stages meet in datasets, so these do not belong to any of them. `params:task` stands for the
    task's checked parameters as a whole; `scratch`, and parameters of a stage, are one for all.
    """
    template = Pipeline(
        list(nodes), namespace=stage, prefix_datasets_with_namespace=False, tags=[stage]
    )
    shared = {SCRATCH} & template.inputs()
    shared_parameters = (CLUSTER, VERIFY, VALIDATE, ENSEMBLE)
    parameters = {"params:task": f"params:{task}"} | {name: name for name in shared_parameters}
    return Pipeline(
        template,
        namespace=task,
        inputs=shared,
        parameters={name: parameters[name] for name in parameters.keys() & template.inputs()},
    )
