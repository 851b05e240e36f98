"""What runs of Kedro say, and what they leave in a project."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Kedro = Callable[..., "subprocess.CompletedProcess[str]"]


def succeed(kedro: Kedro, *arguments: str) -> str:
    """The output of `kedro run`, in one line."""
    result = kedro("run", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return " ".join((result.stdout + result.stderr).split())


def refuse(kedro: Kedro, *arguments: str) -> str:
    """The message of a run that ends with an error and without a traceback."""
    result = kedro("run", *arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


def newest(project: Path, name: str) -> Path:
    """The newest version of a dataset, by its path below data/, or its name in `recommend`."""
    (folder,) = (project / "data").glob(name if "/" in name else f"0*/recommend/{name}")
    return max(folder.iterdir()) / folder.name


def read_newest(project: Path, name: str) -> Any:
    """What stands in the newest version of a JSON or YAML file."""
    text = newest(project, name).read_text(encoding="utf-8")
    return yaml.safe_load(text) if name.endswith(".yml") else json.loads(text)
