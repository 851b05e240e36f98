"""A password in the URL of the studies: used by everything, shown and written by nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "tuning"))

from toy_servers import PASSWORD, QUOTED_PASSWORD, PostgreSQL

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "s3cret"  # noqa: S105  # what both ways of writing it have in common


@pytest.fixture(scope="module")
def study_url() -> Iterator[str]:
    """An empty database of a server that asks for a password."""
    server = PostgreSQL()
    try:
        if missing := server.missing():
            pytest.skip(missing)
        server.create()
        server.start()
        yield server.new_database()
    finally:
        server.remove()


def test_password_of_the_studies_is_nowhere_to_be_read(
    project: Path,
    finished_project: Path,
    serve: Callable[..., Any],
    page_at: Callable[..., Any],
    study_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert SECRET in PASSWORD
    assert SECRET in QUOTED_PASSWORD
    assert SECRET in study_url
    shutil.copytree(finished_project / "data" / "01_raw", project / "data" / "01_raw")
    shutil.copy(finished_project / "conf/local/parameters_tuning.yml", project / "conf/local")
    monkeypatch.setenv("SEQTUNE_STUDY_URL", study_url)
    monkeypatch.setenv("SEQTUNE_TRACKING", "on")

    with watched_commands() as commands:
        run = kedro(project, "run")

    assert run.returncode == 0, run.stdout + run.stderr
    written = project / "data"
    assert (written / "08_reporting/recommend/run_report.html").exists()
    assert (written / "09_tracking/mlflow.db").exists()
    assert not (written / "06_models/recommend/studies.db").exists()  # PostgreSQL has them
    assert SECRET not in run.stdout + run.stderr
    assert any("forkserver" in command for command in commands)  # workers were among them
    assert not [command for command in commands if SECRET in command]
    assert places_of(SECRET, project) == []

    for verb in (["dashboard"], ["graph"], ["mlflow", "ui"]):
        server = serve(["kedro", *verb, "--port", "{port}"], cwd=project)
        visit = page_at(server.url)
        visit.page.wait_for_timeout(2000)  # MLflow is never done asking
        assert SECRET not in server.commands() + server.said() + visit.page.content()
    assert places_of(SECRET, project) == []

    failed = kedro(project, "dashboard", "--study", "none")
    assert failed.returncode == 1
    assert "PostgreSQL server at 127.0.0.1" in failed.stderr
    assert SECRET not in failed.stdout + failed.stderr


def test_search_finds_a_secret_wherever_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(f"opening postgresql://user:{QUOTED_PASSWORD}@host")
    pd.DataFrame({"url": [PASSWORD]}).to_parquet(tmp_path / "trials.parquet", compression="zstd")

    assert places_of(SECRET, tmp_path) == ["log.txt", "trials.parquet"]


def kedro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def places_of(secret: str, folder: Path) -> list[str]:
    """Files with it, databases, models and compressed tables among them."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and secret.encode() in _readable(path)
    )


def _readable(path: Path) -> bytes:
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv().encode()
    return path.read_bytes()


@contextmanager
def watched_commands() -> Iterator[set[str]]:
    """The command lines of all processes meanwhile, as `ps` shows them to everybody."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
