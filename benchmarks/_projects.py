"""This repository's settings: presets, and projects of their own that have them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from _harness import ROOT
from seqtune.core.resolve import flatten


def preset(task: str, name: str) -> dict[str, Any]:
    """The values of a preset of conf/base by their keys."""
    file = ROOT / "conf" / "base" / f"parameters_{task}.yml"
    presets = yaml.safe_load(file.read_text(encoding="utf-8"))[task]["presets"]
    if name not in presets:
        raise SystemExit(f"--preset {name} is not in {file.name}; choose of {', '.join(presets)}")
    return dict(flatten(presets[name]))


def copy_settings(folder: Path) -> None:
    """Make a project without data and without settings of this machine; its code is ours."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "src").mkdir()
    for name in ("pyproject.toml", "requirements.lock", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
