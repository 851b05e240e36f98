"""MLflow's page in a browser: the run that `kedro run` made, with the numbers of the catalog."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kedro_results import newest


@pytest.fixture(scope="module")
def mlflow(serve: Callable[..., Any], finished_project: Path) -> Any:
    return serve(["kedro", "mlflow", "ui", "--port", "{port}"], cwd=finished_project)


@pytest.fixture(scope="module")
def run_ids(finished_project: Path) -> dict[str, str]:
    """Runs by name; of trials, those of the quick stage."""
    with sqlite3.connect(finished_project / "data/09_tracking/mlflow.db") as connection:
        found = connection.execute(
            "SELECT r.name, r.run_uuid, r.experiment_id FROM runs r JOIN tags t USING (run_uuid)"
            " WHERE t.key = 'mlflow.runName' AND (r.name NOT LIKE 'trial%' OR r.run_uuid IN"
            " (SELECT run_uuid FROM tags WHERE key = 'stage' AND value LIKE '%.quick'))"
        ).fetchall()
    connection.close()
    return {name: f"#/experiments/{experiment}/runs/{run}" for name, run, experiment in found}


def assert_quiet(visit: Any) -> None:
    """Ignore what MLflow's own page does: it lays itself out twice where there is no room, and
    asks for the current user, whom a server without accounts does not have."""
    own = ("ResizeObserver loop", "/mlflow/users/current")
    visit.errors[:] = [error for error in visit.errors if not any(one in error for one in own)]
    visit.assert_quiet()


def test_address_that_is_said_leads_to_the_run(
    mlflow: Any, page_at: Callable[..., Any], run_ids: dict[str, str]
) -> None:
    address = re.search(r"http://127\.0\.0\.1:\d+/", mlflow.said())
    assert address, mlflow.said()

    visit = page_at(f"{address[0]}{run_ids['__default__'].partition('/runs')[0]}/runs")
    visit.page.get_by_text("__default__", exact=True).first.wait_for()
    visit.shot("mlflow-runs")
    assert_quiet(visit)


def test_run_shows_the_test_metric_of_the_catalog(
    mlflow: Any,
    page_at: Callable[..., Any],
    screen: Any,
    run_ids: dict[str, str],
    finished_project: Path,
) -> None:
    metrics = json.loads(newest(finished_project, "metrics.json").read_text())
    value = metrics["parts"]["test"]["full_ranking"]["ndcg@10"]["model"]

    visit = page_at(f"{mlflow.url}/{run_ids['__default__']}", screen)
    visit.page.get_by_text("test/ndcg_at_10", exact=True).first.wait_for()
    visit.shot("mlflow-run", whole=True)

    assert visit.page.get_by_text(str(value)).count()
    assert_quiet(visit)


def test_trial_shows_its_score(
    mlflow: Any, page_at: Callable[..., Any], run_ids: dict[str, str], finished_project: Path
) -> None:
    table = pd.read_parquet(newest(finished_project, "quick_trials.parquet"))
    score = table.set_index("number").loc[0, "score"]

    visit = page_at(f"{mlflow.url}/{run_ids['trial 0']}")
    visit.page.get_by_text("score", exact=True).first.wait_for()
    visit.shot("mlflow-trial", whole=True)

    assert visit.page.get_by_text(str(score)).count()
    assert visit.page.get_by_text("model.dropout_rate").count()
    assert_quiet(visit)


def test_database_stands_on_no_command_line(mlflow: Any) -> None:
    assert "mlflow.db" not in mlflow.commands()
    assert "sqlite" not in mlflow.commands()
