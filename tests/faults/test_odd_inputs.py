"""Odd inputs to everything that reads what a user wrote; benchmarks/fuzz.py draws thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from published_versions import damaged


@pytest.mark.services  # it has both cores to itself there
def test_odd_inputs_are_accepted_or_refused_by_a_message(repository: Path, tmp_path: Path) -> None:
    options = ["--inputs", "400", "--seconds", "20", "--folder", str(tmp_path)]
    command = [sys.executable, "benchmarks/fuzz.py", *options]
    result = subprocess.run(
        command,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository / "src")},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "content", "is_damaged"),
    [
        ("report.json", b'{"a": 1}', False),
        ("report.json", b'{"a": ', True),
        ("report.json", b"", True),
        ("best_config.yml", b"a: 1\n", False),
        ("best_config.yml", b"", True),
        ("table.csv", b"a,b\n1,2\n", False),
        ("table.csv", b"a,b\n1,", True),
        ("page.html", b"<html><body></body></html>\n", False),
        ("page.html", b"<html><body>", True),
        ("items.parquet", b"PAR1", True),
        ("studies.db", b"no database", True),
    ],
)
def test_half_of_a_version_is_seen(
    tmp_path: Path, name: str, content: bytes, is_damaged: bool
) -> None:
    """The check that kills and odd inputs rely on."""
    version = tmp_path / "06_models" / "recommend" / name / "2026-01-01T00.00.00.000Z"
    version.mkdir(parents=True)
    (version / name).write_bytes(content)
    assert bool(damaged(tmp_path)) == is_damaged
