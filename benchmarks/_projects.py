"""Kedro projects of their own, with this repository's settings and code."""

from __future__ import annotations

import shutil
from pathlib import Path

from _harness import ROOT


def copy_settings(folder: Path) -> None:
    """Make a project without data and without settings of this machine; its code is ours."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "src").mkdir()
    for name in ("pyproject.toml", "requirements.lock", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
