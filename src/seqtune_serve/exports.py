"""Find and check an export: a folder with a manifest that lists the size and sum of each file."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MANIFEST = "export.json"
MEMBERS = "members"
FORMAT_VERSION = 1
VERSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z")
"""The name that Kedro gives to the folder of a version."""


class ExportError(Exception):
    """An export that cannot be served."""


@dataclass(frozen=True)
class Export:
    """A complete export, whose files are what was written."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def task(self) -> str:
        return str(self.manifest["task"])

    @property
    def version(self) -> str:
        """The name of its version in the catalog, or of its folder."""
        parent = self.path.resolve().parent.name
        return parent if VERSION.fullmatch(parent) else self.path.resolve().name

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its task needs to answer."""
        settings: Mapping[str, Any] = self.manifest["settings"]
        return settings

    @property
    def members(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each member by name; a checkpoint is the only member of its export."""
        members: Mapping[str, Mapping[str, Any]] = self.manifest["members"]
        return members

    def folder(self, member: str) -> Path:
        """Return the folder of a member."""
        return self.path / MEMBERS / member


def newest_export(folder: Path) -> Path:
    """Return `folder` if it is an export, else the newest version below it."""
    if (folder / MANIFEST).is_file():
        return folder
    versions = [
        file.parent
        for file in folder.glob(f"*/[!.]*/{MANIFEST}")
        if VERSION.fullmatch(file.parents[1].name)
    ]
    if not versions:
        raise ExportError(
            f"{folder} has no export; make one with `kedro run --pipelines export`, and give the "
            "folder of its versions (data/06_models/recommend/export) or of one version"
        )
    return max(versions, key=lambda version: version.parent.name)


def read_export(folder: str | Path) -> Export:
    """Open an export, or the newest below a folder; refuse one that is damaged or too new."""
    path = newest_export(Path(folder))
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        found, files = manifest["format_version"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path / MANIFEST} cannot be read ({error}); export again") from error
    if found != FORMAT_VERSION:
        raise ExportError(
            f"{path} has format {found}, and this version of seqtune-serve reads format "
            f"{FORMAT_VERSION}; export again, or install the version that belongs to it"
        )
    if fault := _find_damage(path, files):
        raise ExportError(f"{path} is damaged: {fault}; export again")
    return Export(path, manifest)


def _find_damage(path: Path, files: Mapping[str, Mapping[str, Any]]) -> str:
    """Describe the first file that is not what was written."""
    for name, written in files.items():
        file = path / name
        if not file.is_file():
            return f"it has no {name}"
        size = file.stat().st_size
        if size != written["num_bytes"] or (size and _checksum(file) != written["crc32"]):
            return f"the content of {name} is not what was written"
    return ""


def _checksum(file: Path) -> str:
    return f"{zlib.crc32(np.memmap(file, mode='r').data):08x}"
