"""The wiring common to all stages: nodes of one task under its namespace."""

from __future__ import annotations

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

SCRATCH = "scratch"
CLUSTER = "params:cluster"
VERIFY = "params:verify_env"
VALIDATE = "params:validate"
ENSEMBLE = "params:ensemble"
REFRESH = "params:refresh"
COMPARE = "params:compare"
EXPORT = "params:export"


def of_task(task: str, nodes: Iterable[Node | Pipeline], *, stage: str) -> Pipeline:
    """Put the nodes of a stage under `<task>.<stage>`, and its datasets under `<task>`.

    Datasets connect stages, so they are not under the stage. `params:task` becomes the checked
    parameters of the task; `scratch` and the parameters of stages are common to all tasks.
    """
    template = Pipeline(
        list(nodes), namespace=stage, prefix_datasets_with_namespace=False, tags=[stage]
    )
    common = (CLUSTER, VERIFY, VALIDATE, ENSEMBLE, REFRESH, COMPARE, EXPORT)
    parameters = {"params:task": f"params:{task}"} | {name: name for name in common}
    return Pipeline(
        template,
        namespace=task,
        inputs={SCRATCH} & template.inputs(),
        parameters={name: parameters[name] for name in parameters.keys() & template.inputs()},
    )
