"""All pipelines by name; names without a prefix belong to `recommend`."""

from __future__ import annotations

from kedro.pipeline import Pipeline

from seqtune.core.task import TaskSpec
from seqtune.pipelines import (
    compare,
    dry_run,
    ensemble,
    export,
    ingest,
    predict,
    refresh,
    sample,
    split,
    train,
    tune,
    validate,
    verify_env,
)
from seqtune.tasks import find_tasks

TASKS: tuple[TaskSpec, ...] = find_tasks()
DEFAULT_TASK = TASKS[0]
STAGES = {
    "ingest": ingest.create_pipeline,
    "split": split.create_pipeline,
    "verify_env": verify_env.create_pipeline,
    "tune": tune.create_pipeline,
    "train": train.create_pipeline,
    "ensemble": ensemble.create_pipeline,
    "predict": predict.create_pipeline,
}
"""The stages of the whole chain, in order."""
DRY_RUN = "dry_run"
VERIFIED = ("tune", "train")
"""Stages that need the report of verify_env; run alone, they include it."""


def register_pipelines() -> dict[str, Pipeline]:
    """`tune` is also `recommend.tune`; `recommend` and `__default__` are its whole chain."""
    pipelines: dict[str, Pipeline] = {}
    for task in TASKS:
        stages = {name: create(task) for name, create in STAGES.items()}
        whole = sum(stages.values(), Pipeline([]))
        alone = {name: stages["verify_env"] + stages[name] for name in VERIFIED}
        resolved = stages["train"].filter(node_names=[f"{task.name}.train.resolve_config"])
        validated = stages["verify_env"] + resolved + validate.create_pipeline(task)
        rehearsed = stages["ingest"] + stages["split"] + dry_run.create_pipeline(task)
        named = {**stages, **alone, "validate": validated, DRY_RUN: rehearsed}
        if task.carry_over:
            named["refresh"] = stages["ingest"] + stages["split"] + refresh.create_pipeline(task)
        if task.score_rows:
            named["compare"] = compare.create_pipeline(task)
        if task.export:
            named["export"] = export.create_pipeline(task)
        if task.sample_files:
            named["sample"] = sample.create_pipeline(task)
        pipelines |= {f"{task.name}.{name}": stage for name, stage in named.items()}
        pipelines[task.name] = whole
        if task is DEFAULT_TASK:
            pipelines |= named
            pipelines["__default__"] = pipelines[task.name]
    return pipelines
