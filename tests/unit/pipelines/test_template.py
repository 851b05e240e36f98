"""Stages under a task's namespace, and where tasks meet: nowhere but in scratch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kedro.pipeline import Node, Pipeline

from seqtune.core.task import TaskSpec
from seqtune.pipeline_registry import STAGES, TASKS, register_pipelines
from seqtune.pipelines._template import CLUSTER, ENSEMBLE, SCRATCH, VERIFY, of_task


def join(*parts: object) -> object:
    return parts


def other_task() -> TaskSpec:
    return replace(TASKS[0], name="other")


def test_datasets_get_the_namespace_and_parameters_become_those_of_the_task() -> None:
    node = Node(join, inputs=["params:task", SCRATCH, "raw"], outputs="made", name="make")

    stage = of_task("toy", [node], stage="first")

    assert stage.inputs() == {"params:toy", SCRATCH, "toy.raw"}
    assert stage.outputs() == {"toy.made"}
    assert [node.name for node in stage.nodes] == ["toy.first.make"]
    assert stage.nodes[0].tags == {"first"}


def test_stage_without_parameters_is_wired_too() -> None:
    stage = of_task("toy", [Node(join, inputs="a", outputs="b", name="n")], stage="first")

    assert stage.inputs() == {"toy.a"}


@pytest.mark.parametrize("stage", STAGES)
def test_tasks_share_nothing_but_where_they_work(stage: str) -> None:
    one, two = (STAGES[stage](task) for task in (TASKS[0], other_task()))
    shared = one.datasets() & two.datasets()

    assert shared <= {SCRATCH, CLUSTER, VERIFY, ENSEMBLE}
    assert {node.name for node in one.nodes}.isdisjoint(node.name for node in two.nodes)


def test_chain_feeds_itself_from_raw_files() -> None:
    """What the whole chain needs from outside is raw, or optional, or a parameter."""
    needed = register_pipelines()["recommend"].inputs()

    assert needed == {
        "params:recommend",
        "params:recommend.tuning",
        SCRATCH,
        CLUSTER,
        VERIFY,
        ENSEMBLE,
        "recommend.study_storage",
        "recommend.earlier_best_config",
        "recommend.members",
        "recommend.test_results",
        "recommend.raw_interactions",
        "recommend.raw_sides",
        "recommend.raw_new_rows",
        "recommend.raw_allow",
        "recommend.raw_deny",
        "recommend.validated_checkpoint",
    }


def test_whole_task_each_stage_and_each_part_of_a_search_can_be_asked_for() -> None:
    """By `kedro run --namespaces`; Kedro-Viz draws them as boxes."""
    whole = register_pipelines()["recommend"]

    def names(namespace: str) -> set[str]:
        return {node.name for node in whole.only_nodes_with_namespaces([namespace]).nodes}

    assert names("recommend") == {node.name for node in whole.nodes}
    for stage, create in STAGES.items():
        assert names(f"recommend.{stage}") == {node.name for node in create(TASKS[0]).nodes}
    assert names("recommend.tune.quick") == {
        f"recommend.tune.quick.{name}"
        for name in ("tune_quick", "analyse_quick", "draw_quick", "narrow")
    }


def test_names_without_a_prefix_belong_to_recommend() -> None:
    pipelines = register_pipelines()

    for stage in [*STAGES, "validate"]:
        assert pipelines[stage].describe() == pipelines[f"recommend.{stage}"].describe()
    assert pipelines["__default__"].describe() == pipelines["recommend"].describe()
    assert isinstance(pipelines["sample"], Pipeline)


@pytest.mark.parametrize("stage", ["tune", "train", "validate"])
def test_what_trains_is_verified_first_also_when_asked_for_alone(stage: str) -> None:
    nodes = [node.name for node in register_pipelines()[stage].nodes]

    assert "recommend.verify_env.verify_env" in nodes
    assert "recommend.verify_report" not in register_pipelines()[stage].inputs()


def test_tuning_reads_as_the_method() -> None:
    nodes = [node.name.rpartition(".")[2] for node in STAGES["tune"](TASKS[0]).nodes]
    method = ["tune_test", "tune_quick", "narrow", "tune_medium", "rerank", "best_config"]

    assert [name for name in nodes if name in method] == method
