"""The notebooks run from the first cell to the last on a finished project, and are kept clean."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
NAMES = ["01_data", "02_study", "03_ensemble", "04_recommend_one_user"]
EVIL = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
SHOWN_AS_TEXT = ("text/plain",)
"""Kinds of output that a browser is never given as HTML."""
SECONDS = 300
EXECUTE = "from nbclient.cli import main; main()"
"""In a process of its own: Jupyter leaves sockets open, and warnings are errors here."""


def notebook(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPOSITORY / "notebooks" / f"{name}.ipynb").read_text())
    return found


def code(name: str) -> str:
    """All code of a notebook, without the lines that are IPython's."""
    cells = [cell for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]
    lines = "".join("".join(cell["source"]) + "\n" for cell in cells).splitlines()
    return "\n".join(line for line in lines if not line.startswith("%"))


def test_these_are_the_notebooks() -> None:
    assert [file.stem for file in FILES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_not_kept(name: str) -> None:
    kept = [
        number
        for number, cell in enumerate(notebook(name)["cells"])
        if cell.get("outputs") or cell.get("execution_count") is not None or cell["metadata"]
    ]

    assert kept == [], "strip them: make format"


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_define_nothing(name: str) -> None:
    """What is missing belongs into the package, where it is tested."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not [node.lineno for node in ast.walk(ast.parse(code(name))) if isinstance(node, kinds)]


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_explain_what_they_show(name: str) -> None:
    kinds = [cell["cell_type"] for cell in notebook(name)["cells"]]

    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= 5
    assert len(code(name).splitlines()) < 100


def test_the_verb_that_strips_takes_outputs_away(tmp_path: Path) -> None:
    dirty = notebook("01_data")
    cell = next(cell for cell in dirty["cells"] if cell["cell_type"] == "code")
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["secret"]}]
    cell["execution_count"] = 7
    file = tmp_path / "dirty.ipynb"
    file.write_text(json.dumps(dirty))
    format_verb = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    options = re.search(r"jupyter-nbconvert (.*) notebooks/\*\.ipynb", format_verb)
    assert options

    subprocess.run(
        [sys.executable, "-m", "nbconvert", *options[1].split(), str(file)],
        env={**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path)},
        check=True,
        capture_output=True,
    )

    assert json.loads(file.read_text()) == notebook("01_data")


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[:2]), *NAMES[2:]],
)
def test_a_notebook_runs_to_the_end(name: str, finished_project: Path, tmp_path: Path) -> None:
    ran = execute(name, copy_of(finished_project, tmp_path), tmp_path)

    assert said_on_stderr(ran) == []
    assert walls(ran) == []
    assert len(list(outputs(ran))) >= 5
    shown = "".join(as_html(ran))
    assert EVIL not in shown
    if name == "04_recommend_one_user":
        assert ESCAPED in shown


def test_an_output_that_is_not_escaped_would_be_noticed() -> None:
    table = {"output_type": "display_data", "data": {"text/html": [f"<td>{EVIL}</td>"]}}
    figure = {"data": {"application/vnd.plotly.v1+json": {"layout": {"title": EVIL}}}}
    ran = {"cells": [{"cell_type": "code", "outputs": [table, figure]}]}

    assert "".join(as_html(ran)).count(EVIL) == 2


def test_a_wall_would_be_noticed() -> None:
    coloured = {"data": {"text/plain": ["\x1b[33mWARNING \x1b[0m 'exists()' not implemented"]}}
    printed = {"name": "stdout", "text": ["x.py:1: UserWarning: oho"]}
    ran = {"cells": [{"outputs": [coloured, printed, {"data": {"text/plain": "fine"}}]}]}

    assert len(walls(ran)) == 2


def copy_of(finished: Path, tmp_path: Path) -> Path:
    """A project of the same data, with notebooks of its own."""
    project = tmp_path / "project"
    shutil.copytree(REPOSITORY / "notebooks", project / "notebooks")
    (project / "src").mkdir()  # Kedro wants it inside
    for name in ("conf", "data", "pyproject.toml"):
        (project / name).symlink_to(finished / name)
    return project


def execute(name: str, project: Path, tmp_path: Path) -> dict[str, Any]:
    """Run a notebook in a kernel of this interpreter that nobody has installed anywhere."""
    kernel = tmp_path / "jupyter" / "kernels" / "here" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": command, "display_name": "here", "language": "python"}))
    file = project / "notebooks" / f"{name}.ipynb"
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PYTHONPATH": str(REPOSITORY / "src"),
        "SEQTUNE_ENV": "local",
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
    }
    result = subprocess.run(
        [sys.executable, "-c", EXECUTE, "--kernel_name=here", "--inplace", str(file)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    ran: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return ran


def outputs(ran: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for cell in ran["cells"]:
        yield from cell.get("outputs", [])


def said_on_stderr(ran: dict[str, Any]) -> list[str]:
    return ["".join(one["text"]) for one in outputs(ran) if one.get("name") == "stderr"]


def walls(ran: dict[str, Any]) -> list[str]:
    """Warnings, of Python or of a log, wherever they were shown."""
    texts = [
        "".join(one.get("text") or one.get("data", {}).get("text/plain", ""))
        for one in outputs(ran)
    ]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in texts]
    return [text for text in plain if re.search(r"\bWARNING\b|\b[A-Z]\w*Warning\b", text)]


def as_html(ran: dict[str, Any]) -> Iterator[str]:
    """What a browser would read as HTML, or Plotly as its own."""
    for one in outputs(ran):
        for kind, content in one.get("data", {}).items():
            if kind not in SHOWN_AS_TEXT:
                yield "".join(content) if isinstance(content, list) else str(content)
