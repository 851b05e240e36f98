"""Which errors are explained and which are bugs that keep their traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kedro.framework.project import configure_project
from kedro.io.core import DatasetError

from seqtune.commands.run import dry_runs, explain, run
from seqtune.core.errors import ConfigurationError, DataError, Interrupted, StorageError


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


def test_a_full_disk_is_found_where_a_file_was_moved_to() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/d/source", None, "/e/target")
    assert "below /e/target" in str(explain(full))


def test_other_errors_of_datasets_are_shown_as_they_are() -> None:
    error = wrapped(ValueError("x"))
    assert explain(error) is error


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOENT, "x"), KeyError("x")])
def test_a_bug_is_not_explained_away(error: Exception) -> None:
    assert explain(error) is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": "recommend: {seed: ["}, "conf/local/parameters_a.yml, line 1: invalid YAML"),
        ({"a": "recommend: {seed: 1}", "b": "recommend: {seed: 2}"}, "Duplicate keys found in"),
    ],
)
def test_a_file_of_conf_that_cannot_be_read_is_named(
    project: Path, kedro: Any, files: dict[str, str], said: str
) -> None:
    for name, text in files.items():
        (project / "conf" / "local" / f"parameters_{name}.yml").write_text(text)

    result = kedro("run", "--pipelines", "split")

    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupted_run_exits_as_shells_expect() -> None:
    assert Interrupted("stopped", signal_number=15).exit_code == 143


def test_the_package_runs_pipelines_itself(project: Path) -> None:
    command = [sys.executable, "-m", "seqtune", "--pipelines", "ingest"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "interactions.csv" in result.stderr
    assert "Traceback" not in result.stderr


ASKED = {"summarize": {"dry_run": True, "seed": 1}}


@pytest.mark.parametrize("named", [[], ["summarize"], ["summarize.train", "summarize.predict"]])
def test_a_dry_run_takes_the_place_of_what_was_asked_for(named: list[str]) -> None:
    assert dry_runs(ASKED, named) == ["summarize.dry_run"]
    assert dry_runs({"recommend": {"dry_run": True}}, ["tune"]) == ["recommend.dry_run"]


@pytest.mark.parametrize("params", [{}, {"recommend": {"dry_run": False}}, {"tuning": {"a": 1}}])
def test_without_one_nothing_is_replaced(params: dict[str, Any]) -> None:
    assert dry_runs(params, ["recommend"]) == []


def test_a_dry_run_of_a_task_that_is_not_run_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"summarize\.dry_run=true has no effect on tune"):
        dry_runs(ASKED, ["tune"])


@pytest.mark.parametrize("how", [["--pipeline", "recommend"], ["--pipelines", "tune,train"], []])
def test_kedro_is_given_the_dry_run(how: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    configure_project("seqtune")
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("seqtune.commands.run.kedro_run.callback", lambda **one: given.append(one))
    result = CliRunner().invoke(run, [*how, "--params", "recommend.dry_run=true"])
    assert result.exit_code == 0, result.output
    assert (given[0]["pipeline"], given[0]["pipelines"]) == (None, ["recommend.dry_run"])
