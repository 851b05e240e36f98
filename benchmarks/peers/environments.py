"""A virtual environment for each peer, made once, with the pinned versions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from .errors import PeerError
from .roster import HERE, LIBRARIES, OURS

REQUIREMENTS = HERE / "requirements"
SHOWN = ("torch", "lightning", "pytorch-lightning", "numpy", "pandas")
ASK = """
import importlib.metadata as m, json, sys
print(json.dumps({d.name.lower(): d.version for d in m.distributions() if d.name}))
"""


def python_of(library: str, folder: Path) -> Path:
    """The interpreter that a library runs in; its environment is made where it is missing."""
    if library == OURS:
        return Path(sys.executable)
    python = folder / library / "bin" / "python"
    if not is_complete(python, library):
        install(library, folder / library)
    return python


def is_complete(python: Path, library: str) -> bool:
    """Whether the pinned version is there, whoever installed it."""
    name = LIBRARIES[library]
    return python.is_file() and versions(python).get(name) == pinned(library)


def pinned(library: str) -> str:
    text = (REQUIREMENTS / f"{library}.txt").read_text()
    found = re.search(rf"^{LIBRARIES[library]}(\[\w+\])?==(\S+)$", text, flags=re.MULTILINE)
    assert found is not None, f"{library}.txt pins no {LIBRARIES[library]}"
    return found[2]


def install(library: str, folder: Path) -> None:
    """Make the environment anew: torch first, then the library with its pins."""
    print(f"installing {library} into {folder} ...", file=sys.stderr)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], library)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    for name in ("torch", library):
        _run([*pip, "--quiet", "--requirement", str(REQUIREMENTS / f"{name}.txt")], library)


def versions(python: Path) -> dict[str, str]:
    """Everything that is installed beside an interpreter."""
    found = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=False)
    return dict(json.loads(found.stdout)) if found.returncode == 0 else {}


def shown_versions(python: Path, library: str) -> str:
    """Those that a report names."""
    found = versions(python)
    names = [LIBRARIES.get(library, library), *SHOWN]
    return ", ".join(f"{name} {found[name]}" for name in names if name in found)


def _run(command: list[str], library: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no word of why"]
        raise PeerError(f"{library} could not be installed: {lines[-1]}")
