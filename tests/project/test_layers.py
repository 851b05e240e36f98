"""The rules of the house hold, and would be noticed if they did not."""

from __future__ import annotations

import ast
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"
Violation = Callable[[Path], None]


def python_files(repository: Path) -> list[Path]:
    return sorted((repository / "src").rglob("*.py"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def percentile_95(values: list[int]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src"), "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def add_utils(package: Path) -> None:
    (package / "utils").mkdir()
    (package / "utils" / "__init__.py").write_text("", encoding="utf-8")


def let_training_import_a_task(package: Path) -> None:
    append(package / "training" / "__init__.py", "from seqtune.tasks import recommend")


def let_a_stage_import_another(package: Path) -> None:
    append(package / "pipelines" / "split" / "nodes.py", "from seqtune.pipelines import ingest")


def let_a_task_import_kedro(package: Path) -> None:
    append(package / "tasks" / "recommend" / "params.py", "import kedro")


def let_a_contract_import_torch(package: Path) -> None:
    append(package / "core" / "seeds.py", "import torch")


def let_a_stage_import_mlflow(package: Path) -> None:
    append(package / "pipelines" / "train" / "nodes.py", "import mlflow")


def let_a_stage_import_optuna(package: Path) -> None:
    append(package / "pipelines" / "train" / "nodes.py", "import optuna")


def append(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """The package and its contracts, to break them."""
    shutil.copytree(
        repository / "src",
        tmp_path / "src",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def test_import_contracts_are_kept(copy: Path) -> None:
    result = lint_imports(copy)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "violation",
    [
        add_utils,
        let_training_import_a_task,
        let_a_stage_import_another,
        let_a_task_import_kedro,
        let_a_contract_import_torch,
        let_a_stage_import_optuna,
        let_a_stage_import_mlflow,
    ],
)
def test_import_contracts_notice(copy: Path, violation: Violation) -> None:
    violation(copy / "src" / "seqtune")

    result = lint_imports(copy)

    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout


def test_trainer_is_built_in_training_alone(repository: Path) -> None:
    places = [
        file.relative_to(repository / "src" / "seqtune").parts[0]
        for file in python_files(repository)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) == "Trainer"
    ]

    assert places == ["training"]


def test_files_are_of_a_size_to_be_read(repository: Path) -> None:
    files = [file for file in python_files(repository) if file.name != "__init__.py"]
    lines = [len(file.read_text(encoding="utf-8").splitlines()) for file in files]

    assert statistics.median(lines) <= 130
    assert percentile_95(lines) <= 500


def test_functions_are_of_a_size_to_be_read(repository: Path) -> None:
    lines = [
        (function.end_lineno or function.lineno) - function.lineno + 1
        for file in python_files(repository)
        for function in functions(ast.parse(file.read_text(encoding="utf-8")))
    ]

    assert statistics.median(lines) <= 12
    assert percentile_95(lines) <= 50


def test_every_module_says_what_it_is_for(repository: Path) -> None:
    silent = [
        str(file.relative_to(repository))
        for file in python_files(repository)
        if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]

    assert silent == []


SEARCH_AND_REPORT = """
import sys, tempfile, pkgutil, importlib, seqtune.tuning
for module in pkgutil.walk_packages(seqtune.tuning.__path__, "seqtune.tuning."):
    importlib.import_module(module.name)
sys.path.insert(0, sys.argv[1])
from toy_studies import quadratic, toy_plan
from seqtune.core.execution import WorkerInfo
from seqtune.tuning.config import SamplerConfig
from seqtune.tuning.search.stage import run_study
from seqtune.tuning.studies.storage_url import StorageUrl
def run_here(work, monitor, *, num_workers, most):
    work(WorkerInfo(index=0, num_workers=1, name="here"))
plan = toy_plan(total=14, sampler=SamplerConfig(kind="tpe"))
ref = StorageUrl(f"sqlite:///{tempfile.mkdtemp()}/studies.db")
result = run_study(plan, quadratic, ref=ref, executor=run_here, num_workers=1, progress=False)
assert result.num_new == 14, result
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "kedro", "lightning"}))
"""


def test_tuning_searches_a_quadratic_without_kedro_and_torch(repository: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SEARCH_AND_REPORT, str(repository / "tests/unit/tuning")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_unit_tests_of_tuning_name_neither_kedro_nor_torch(repository: Path) -> None:
    for path in sorted((repository / "tests/unit/tuning").glob("*.py")):
        imported = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in _imports(node)
        }
        assert imported.isdisjoint({"kedro", "torch", "lightning"}), path


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
