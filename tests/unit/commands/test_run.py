"""Which errors are explained and which are bugs that keep their traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from seqtune.commands.run import explain
from seqtune.contracts.errors import DataError, Interrupted, StorageError


def wrapped(cause: BaseException) -> DatasetError:
    error = DatasetError("Failed while loading")
    error.__cause__ = cause
    return error


def test_ours_is_found_wherever_kedro_wrapped_it() -> None:
    cause = DataError("no such column")
    assert explain(cause) is cause
    assert explain(wrapped(cause)) is cause


def test_a_full_disk_is_explained() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/d/x")
    explained = explain(wrapped(full))
    assert isinstance(explained, StorageError)
    assert "/d/x" in str(explained)


def test_other_errors_of_datasets_are_shown_as_they_are() -> None:
    error = wrapped(ValueError("x"))
    assert explain(error) is error


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOENT, "x"), KeyError("x")])
def test_a_bug_is_not_explained_away(error: Exception) -> None:
    assert explain(error) is None


def test_an_interrupted_run_exits_as_shells_expect() -> None:
    assert Interrupted("stopped", signal_number=15).exit_code == 143


def test_the_package_runs_pipelines_itself(project: Path) -> None:
    command = [sys.executable, "-m", "seqtune", "--pipeline", "ingest"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "interactions.csv" in result.stderr
    assert "Traceback" not in result.stderr
