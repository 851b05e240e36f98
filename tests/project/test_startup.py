"""Commands start without what only a run needs: torch, plotting, a database."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from seqtune.tasks import find_tasks

HEAVY = {
    "torch",
    "lightning",
    "optuna",
    "mlflow",
    "sqlalchemy",
    "scipy",
    "transformers",
    "plotly",
    "duckdb",
    "pandas",
    "pyarrow",
    "numpy",
}
NOT_FOR_A_LIST = {
    "seqtune.tuning.parameters",
    "seqtune.workers",
}
"""What a run needs, and no list of pipelines."""
STAGES = {
    "ingest",
    "split",
    "verify_env",
    "tune",
    "train",
    "validate",
    "ensemble",
    "predict",
    "dry_run",
    "sample",
}
TASKS = {task.name for task in find_tasks()}
NAMES = {
    "__default__",
    *STAGES,
    *TASKS,
    *(f"{task}.{stage}" for task in TASKS for stage in STAGES),
    "refresh",
    "recommend.refresh",
    "compare",
    *(f"{task.name}.compare" for task in find_tasks() if task.score_rows),
    "export",
    *(f"{task.name}.export" for task in find_tasks() if task.export),
}

LIST_AND_REPORT = """
import contextlib, json, sys
from kedro.framework.cli import main
sys.argv = ["kedro", "registry", "list"]
sys.modules["kedro_mlflow"] = None  # no dependency: where it is installed, Kedro imports it
with contextlib.suppress(SystemExit):
    main()
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def listing(repository: Path) -> tuple[set[str], set[str]]:
    """Names that `kedro registry list` prints, and modules that it imported."""
    result = subprocess.run(
        [sys.executable, "-c", LIST_AND_REPORT],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *lines, modules = result.stdout.strip().splitlines()
    names = {line.removeprefix("- ").strip() for line in lines if line.startswith("- ")}
    return names, set(json.loads(modules))


def test_pipelines_of_the_specification_are_registered(
    listing: tuple[set[str], set[str]],
) -> None:
    names, _ = listing

    assert names == NAMES


def test_listing_imports_nothing_heavy(listing: tuple[set[str], set[str]]) -> None:
    _, modules = listing

    assert "seqtune.pipelines.tune.nodes" in modules
    assert {module.partition(".")[0] for module in modules} & HEAVY == set()


def test_listing_imports_nothing_that_only_a_run_needs(listing: tuple[set[str], set[str]]) -> None:
    _, modules = listing

    assert modules & NOT_FOR_A_LIST == set()


def test_package_switches_telemetry_off_before_anything_else(repository: Path) -> None:
    code = (
        "import os, seqtune; print(os.environ['KEDRO_DISABLE_TELEMETRY'],"
        " os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )

    assert result.stdout.split() == ["true", "true"]
    assert (repository / ".telemetry").read_text(encoding="utf-8").strip() == "consent: false"


def test_plugins_that_are_switched_off_are_called_by_their_names() -> None:
    from seqtune.settings import DISABLE_HOOKS_FOR_PLUGINS

    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}

    assert set(DISABLE_HOOKS_FOR_PLUGINS) - {"kedro_mlflow", "kedro-telemetry"} <= installed


def test_a_session_has_our_hooks_and_none_of_the_plugins_that_are_switched_off(
    repository: Path,
) -> None:
    code = (
        "from pathlib import Path; from kedro.framework.session import KedroSession;"
        " from kedro.framework.startup import bootstrap_project;"
        " bootstrap_project(Path.cwd()); session = KedroSession.create(Path.cwd());"
        " context = session.load_context(); hooks = context._hook_manager.get_plugins();"
        " print(sorted(type(hook).__module__ for hook in hooks))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )

    ours = ("parameters", "report", "tracking", "versions")
    assert result.stdout.splitlines()[-1] == str([f"seqtune.hooks.{name}" for name in ours])
