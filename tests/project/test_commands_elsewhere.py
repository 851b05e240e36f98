"""`kedro` outside of the project: what it says, and that it reports nothing to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

KEDRO = "from kedro.framework.cli import main; main()"


@pytest.fixture
def installed(tmp_path: Path, repository: Path) -> Path:
    """A folder of installed packages with the entry points of this checkout."""
    declared = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    points = declared["project"]["entry-points"]
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in named.items())
        for group, named in points.items()
    )
    folder = tmp_path / "site" / "seqtune_elsewhere-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: seqtune_elsewhere\nVersion: 0\n")
    (folder / "entry_points.txt").write_text(text)
    return folder.parent


def kedro(folder: Path, installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    hidden = ("KEDRO_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    source = Path(__file__).resolve().parents[2] / "src"
    environment |= {"PYTHONPATH": os.pathsep.join([str(source), str(installed)]), "COLUMNS": "200"}
    command = [sys.executable, "-c", KEDRO, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version"], 0, "version 1."),
        (["run", "--pipelines", "train"], 1, "change to the folder of your project first"),
    ],
)
def test_a_command_outside_says_where_to_go_and_reports_nothing(
    tmp_path: Path, installed: Path, arguments: list[str], code: int, said: str
) -> None:
    result = kedro(tmp_path, installed, *arguments)

    output = result.stdout + result.stderr
    assert result.returncode == code, output
    assert said in " ".join(output.split())
    assert "usage data" not in output
    assert "Traceback" not in output


def test_the_lock_leaves_out_what_reports_usage(repository: Path) -> None:
    lock = (repository / "requirements.lock").read_text(encoding="utf-8")
    makefile = (repository / "Makefile").read_text(encoding="utf-8")

    assert "\nkedro-telemetry==" not in lock
    assert "install --no-deps --requirement requirements.lock" in makefile
