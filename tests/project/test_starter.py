"""`kedro new --starter`: a project of one task or of all, that Kedro can list and run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def kedro(*arguments: str, at: Path, **environment: str) -> str:
    command = [sys.executable, "-m", "kedro", *arguments]
    result = subprocess.run(
        command,
        cwd=at,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def new_project(repository: Path, folder: Path, task: str) -> Path:
    answers = folder / "answers.yml"
    answers.write_text(yaml.safe_dump({"project_name": "Shop Texts", "task": task}))
    kedro("new", f"--starter={repository}", "--directory=starter", f"--config={answers}", at=folder)
    return folder / "shop-texts"


@pytest.fixture(scope="module")
def of_texts(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(repository, tmp_path_factory.mktemp("new"), "classify")


def test_a_project_of_one_task_has_nothing_of_the_others(of_texts: Path) -> None:
    names = [str(path.relative_to(of_texts)) for path in of_texts.rglob("*") if path.is_file()]
    code = [name for name in names if name.startswith(("src/seqtune/", "conf/"))]
    assert [name for name in code if "recommend" in name or "summarize" in name] == []
    assert {"conf/local/.gitkeep", "data/01_raw/.gitkeep", "Makefile", "README.md"} <= {*names}
    assert not any("cookiecutter" in (of_texts / name).read_text() for name in ["README.md"])
    assert 'project_name = "Shop Texts"' in (of_texts / "pyproject.toml").read_text()

    listed = yaml.safe_load(
        kedro("registry", "list", at=of_texts, PYTHONPATH=str(of_texts / "src"))
    )
    assert {"__default__", "train", "classify.train", "sample"} <= {*listed}
    assert not any(name.startswith("recommend") for name in listed)


@pytest.mark.slow
def test_its_sample_runs(of_texts: Path) -> None:
    at = {"PYTHONPATH": str(of_texts / "src"), "SEQTUNE_TRACKING": "off"}
    kedro("run", "--pipelines", "sample", "--env", "sample", at=of_texts, **at)
    stages = "ingest,split,train,predict"
    said = kedro(
        "run", "--pipelines", stages, "--env", "sample", "--params", "classify.training.epochs=1",
        at=of_texts, **at,
    )  # fmt: skip
    assert "predictions.parquet" in said


@pytest.mark.slow
def test_a_project_of_all_tasks_is_whole(repository: Path, tmp_path: Path) -> None:
    project = new_project(repository, tmp_path, "all")
    tasks = {path.name for path in (project / "src/seqtune/tasks").iterdir() if path.is_dir()}
    assert {"recommend", "classify", "summarize"} <= tasks
    assert (project / "notebooks").is_dir()
