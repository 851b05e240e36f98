"""Every pipeline by name. Names without a prefix belong to `recommend`."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from seqtune.contracts.task import TaskSpec
from seqtune.pipelines import ingest, predict, sample, split, train
from seqtune.tasks import recommend

TASKS: tuple[TaskSpec, ...] = (recommend.TASK,)
DEFAULT_TASK = recommend.TASK
STAGES = {
    "ingest": ingest.create_pipeline,
    "split": split.create_pipeline,
    "train": train.create_pipeline,
    "predict": predict.create_pipeline,
}


def register_pipelines() -> dict[str, Pipeline]:
    """`tune` is `recommend.tune`; `recommend` and `__default__` are its whole chain."""
    pipelines: dict[str, Pipeline] = {}
    for task in TASKS:
        stages = {name: create(task) for name, create in STAGES.items()}
        pipelines |= {f"{task.name}.{name}": stage for name, stage in stages.items()}
        pipelines[task.name] = sum(stages.values(), Pipeline([]))
        if task is DEFAULT_TASK:
            pipelines |= stages
            pipelines["__default__"] = pipelines[task.name]
    pipelines["sample"] = sample.create_pipeline()
    return pipelines
