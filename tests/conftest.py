"""What all tests may use: the repository, a project of one's own, data that may be absent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Before torch is imported: tests run one to a core, and threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]
Kedro = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Data sets that may not be in the repository; a test that needs them is skipped without."""
    path = Path(os.environ.get("SEQTUNE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no data sets in {path}; set SEQTUNE_DATA to where they are")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A seqtune project of one's own: this configuration, this package, its own data folder."""
    return new_project(tmp_path / "project")


@pytest.fixture
def kedro(project: Path) -> Kedro:
    """`kedro("run", "--env", "sample")` in `project`, in a process of its own."""
    return kedro_in(project)


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One project for a whole file of tests, which leave it as they found it."""
    return new_project(tmp_path_factory.mktemp("shared") / "project")


@pytest.fixture(scope="module")
def shared_kedro(shared_project: Path) -> Kedro:
    """`kedro` in `shared_project`."""
    return kedro_in(shared_project)


def new_project(folder: Path) -> Path:
    (folder / "src").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "conf", folder / "conf", ignore=_others_local_settings)
    for name in ("pyproject.toml", "requirements.lock", ".telemetry"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def kedro_in(folder: Path) -> Kedro:
    def call(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


def _others_local_settings(folder: str, names: list[str]) -> list[str]:
    """conf/local belongs to whoever works here; a test must not see it."""
    return [name for name in names if Path(folder).name == "local" and name != ".gitkeep"]
