"""What all tests may use: the repository, a project of one's own, data that may be absent."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from kedro_forks import run_kedro
from toy_cluster import cluster  # noqa: F401
from toy_processes import preload_for_all

pytest_plugins = ["fixed_draws"]
preload_for_all()

# Before torch is imported: tests run one to a core, and threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# MLflow takes seconds of every run; tests of tracking, and `finished_project`, switch it on.
os.environ.setdefault("SEQTUNE_TRACKING", "off")

REPOSITORY = Path(__file__).resolve().parents[1]
Kedro = Callable[..., "subprocess.CompletedProcess[str]"]


SERVICES = {"page_at", "serve", "study_url", "cluster", "s3", "postgresql", "mariadb"}
"""Fixtures that start a browser, a Ray cluster or a server."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark tests of services: `make test` leaves them out, `make test-services` runs them."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    asked_for = {
        parameters[name] for name in ("ref", "kind") if isinstance(parameters.get(name), str)
    }
    if SERVICES & {*getattr(item, "fixturenames", ()), *asked_for}:
        item.add_marker("services")


@pytest.hookimpl(trylast=True)  # what is left out is gone by then
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first file makes `finished_project`; others that read it come when there is nothing to
    wait for any more. What takes moments comes last, and fills all cores to the end."""
    readers = [i.path for i in items if "finished_project" in getattr(i, "fixturenames", ())]
    places = dict.fromkeys(readers, 2) | dict.fromkeys(readers[:1], 0)
    items.sort(key=lambda item: places.get(item.path, 3 if _takes_moments(item.path) else 1))


def _takes_moments(path: Path) -> bool:
    kind, room, *_ = path.relative_to(REPOSITORY / "tests").parts
    return kind == "unit" and room not in ("training", "tuning", "workers")


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
    """`kedro("run", "--env", "sample")` in `project`, in a fork that has imported everything."""
    return kedro_in(project)


@pytest.fixture
def kedro_command(project: Path) -> Kedro:
    """The same by the command line itself, as a user starts it: seconds of imports."""
    return command_in(project)


@pytest.fixture(scope="session")
def kedro_with() -> Callable[..., Kedro]:
    """`kedro_with(folder, tracking="on", NAME="value")`: `kedro` there, in that environment."""
    return kedro_in


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One project for a whole file of tests, which leave it as they found it."""
    return new_project(tmp_path_factory.mktemp("shared") / "project")


@pytest.fixture(scope="module")
def shared_kedro(shared_project: Path) -> Kedro:
    """`kedro` in `shared_project`."""
    return kedro_in(shared_project)


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a tiny run of the whole chain in it, made once for all workers of pytest.

    For reading only. Some of its items have names that must be escaped wherever they are shown.
    What the run said is in `said.txt`.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "finished"
    with (base / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait for whoever came first
        if not (base / "finished.ok").exists():
            shutil.rmtree(folder, ignore_errors=True)
            finish_project(new_project(folder))
            (base / "finished.ok").touch()
    return folder


@pytest.fixture(scope="module")
def copied_data(finished_project: Path, shared_project: Path) -> Path:
    """The data folder of `shared_project`, in which the whole chain has run as well."""
    shutil.copytree(finished_project, shared_project, dirs_exist_ok=True)
    return shared_project / "data"


def finish_project(folder: Path) -> None:
    """Give a project raw data and a small search, and run everything."""
    raw = folder / "data" / "01_raw" / "recommend"
    raw.mkdir(parents=True)
    named = ["<script>alert(1)</script>", 'R&B "hits"']
    names = [*named, *(f"song {number}" for number in range(10))]
    rows = [
        f'{user},"{names[(user + step) % 12].replace(chr(34), chr(34) * 2)}",{1000 + step}'
        for user in range(1, 41)
        for step in range(9)
    ]
    (raw / "interactions.csv").write_text("\n".join(["user,item,time", *rows, ""]))
    (folder / "conf" / "local" / "parameters_tuning.yml").write_text(TINY_SEARCH)
    result = command_in(folder, tracking="on")("run", timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    (folder / "said.txt").write_text(result.stdout + result.stderr)


TINY_SEARCH = """
tuning:
  workers: 1
  stages:
    test: {trials: 1, epochs: 1}
    quick: {trials: 4, epochs: 2}
    medium: {trials: 3, epochs: 3}
  pruner: {startup_trials: 1}
  rerank: {top: 2, seeds: 2}
recommend:
  preset: small
  training: {accelerator: cpu}
  tuning:
    space: bert4rec_guide
    other_spaces:
      bert4rec_guide:
        quick: &tiny
          model:
            hidden_units: {choices: [4, 8]}
            num_heads: {choices: [1, 2]}
            num_layers: {choices: [1]}
            max_len: {choices: [8]}
          training:
            batch_size: {choices: [16, 32]}
        medium: *tiny
"""


def new_project(folder: Path) -> Path:
    (folder / "src").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "conf", folder / "conf", ignore=_others_local_settings)
    for name in ("pyproject.toml", "requirements.lock", ".telemetry"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def kedro_in(folder: Path, *, tracking: str = "off", **more: str) -> Kedro:
    """`kedro` in a folder; `more` are environment variables."""

    def call(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SEQTUNE_TRACKING": tracking, **more}
        return run_kedro(folder, *arguments, environment=environment, timeout=timeout)

    return call


def command_in(folder: Path, *, tracking: str = "off") -> Kedro:
    """The same in a process of its own."""

    def call(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY / "src"),
            "COLUMNS": "200",
            "SEQTUNE_TRACKING": tracking,
        }
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
