"""Commands start fast: the registry is listed without torch, plotting or a database."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

HEAVY = {
    "torch",
    "lightning",
    "optuna",
    "mlflow",
    "kedro_mlflow",
    "sqlalchemy",
    "scipy",
    "transformers",
    "plotly",
    "duckdb",
    "pandas",
    "pyarrow",
    "numpy",
}
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
}
TASKS = {"recommend", "classify", "summarize"}
NAMES = {
    "__default__",
    "sample",
    "classify.sample",
    "summarize.sample",
    *STAGES,
    *TASKS,
    *(f"{task}.{stage}" for task in TASKS for stage in STAGES),
}

LIST_AND_REPORT = """
import contextlib, json, sys
from kedro.framework.cli import main
sys.argv = ["kedro", "registry", "list"]
with contextlib.suppress(SystemExit):
    main()
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def listing(repository: Path) -> tuple[set[str], set[str]]:
    """Names that `kedro registry list` prints, and top-level modules that it imported."""
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
    return names, {module.partition(".")[0] for module in json.loads(modules)}


def test_pipelines_of_the_specification_are_registered(
    listing: tuple[set[str], set[str]],
) -> None:
    names, _ = listing

    assert names == NAMES


def test_listing_imports_nothing_heavy(listing: tuple[set[str], set[str]]) -> None:
    _, modules = listing

    assert "seqtune" in modules
    assert modules & HEAVY == set()


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
    assert set(DISABLE_HOOKS_FOR_PLUGINS) <= installed
