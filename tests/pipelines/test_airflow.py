"""`kedro airflow create`: the DAG that it writes has every node, and its tasks run one by one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kedro_results import Kedro, newest, refuse, succeed

pytest.importorskip("kedro_airflow", reason="pip install kedro-airflow")
SAMPLE = ("--env", "sample", "--pipelines")


@pytest.fixture
def tasks(kedro_command: Kedro, project: Path) -> list[list[str]]:
    """The names of nodes that each task of the DAG runs, in its order."""
    command = "airflow create --env sample --group-by memory --pipelines train --target-dir dags"
    result = kedro_command(*command.split())
    assert result.returncode == 0, result.stdout + result.stderr
    (dag,) = (project / "dags").glob("*.py")
    calls = [
        node
        for node in ast.walk(ast.parse(dag.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_run_kedro_node"
    ]
    return [ast.literal_eval(call.keywords[0].value) for call in calls]


def test_each_task_of_the_dag_runs_by_itself(
    kedro: Kedro, project: Path, tasks: list[list[str]]
) -> None:
    for pipeline in ("sample", "ingest", "split"):
        succeed(kedro, *SAMPLE, pipeline)
    few = "recommend.preset=small,recommend.training.epochs=1"
    for nodes in tasks:
        succeed(kedro, *SAMPLE, "train", "--nodes", ",".join(nodes), "--params", few)
    assert newest(project, "sample/08_reporting/recommend/metrics.json").is_file()


def test_a_file_of_conf_may_belong_to_an_installed_plugin(kedro: Kedro, project: Path) -> None:
    (project / "conf/base/airflow.yml").write_text("default: {schedule: '@daily'}\n")
    succeed(kedro, *SAMPLE, "sample")
    for name in ("airfow.yml", "seqtune.yml", "kedro-viz.yml"):  # no plugin reads these
        (project / "conf/base" / name).write_text("default: {schedule: '@daily'}\n")
        assert f"conf/base/{name} would not be read" in refuse(kedro, *SAMPLE, "sample")
