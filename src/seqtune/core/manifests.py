"""Manifests of folders: written last, so that a folder with a manifest is complete.

A manifest lists size and checksum of the files, which are compared when a process first reads it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from .config import Section
from .errors import ArtifactError

CHUNK_BYTES = 1 << 20
_compared: set[tuple[Path, int]] = set()
"""Folders of this process whose files were compared, and when their manifests were written."""


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"{name!r} is not a file of this folder")
    return name


InnerPath = Annotated[str, AfterValidator(_inside)]
"""A path relative to the folder of a manifest, which does not lead out of it."""


class FileSum(Section):
    """What identifies the content of a file. CRC-32 finds damage at the speed of a disk."""

    num_bytes: int
    crc32: str


class Manifest(Section):
    """Base of the manifests of folders."""

    format_version: int
    files: dict[InnerPath, FileSum] = Field(default_factory=dict)
    """Files of the folder; empty where an earlier version of seqtune wrote it."""


ManifestT = TypeVar("ManifestT", bound=Manifest)


def read_manifest(
    path: Path, file: str, kind: type[ManifestT], *, what: str, version: int, hint: str
) -> ManifestT:
    """Read the manifest of a folder; refuse one that is incomplete, damaged or too new."""
    if not (path / file).is_file():
        raise ArtifactError(f"{path} is not a complete {what}: no {file} in it; {hint}")
    try:
        manifest = kind.model_validate_json((path / file).read_bytes())
    except ValidationError as error:
        raise ArtifactError(
            f"{what} {path} is damaged: {file}, {first_fault(error)}; {hint}"
        ) from error
    if manifest.format_version != version:
        raise ArtifactError(
            f"{what} {path} has format {manifest.format_version}; this version of seqtune reads "
            f"format {version}; {hint}"
        )
    key = (path.resolve(), (path / file).stat().st_mtime_ns)
    if key not in _compared:
        if fault := _find_damage(path, manifest.files):
            raise ArtifactError(f"{what} {path} is damaged: {fault}; {hint}")
        _compared.add(key)
    return manifest


def first_fault(error: ValidationError) -> str:
    """Describe what is wrong with values that were read from a file, and where."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def sum_files(folder: Path, files: Iterable[Path] | None = None) -> dict[str, FileSum]:
    """Describe some files of a folder for its manifest, or all."""
    found = sorted(folder.rglob("*") if files is None else files)
    return {
        file.relative_to(folder).as_posix(): FileSum(
            num_bytes=file.stat().st_size, crc32=file_checksum(file)
        )
        for file in found
        if file.is_file()
    }


def file_checksum(file: Path) -> str:
    """Return the CRC-32 of a file's content, in hexadecimal digits."""
    value = 0
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return f"{value:08x}"


def _find_damage(folder: Path, files: Mapping[str, FileSum]) -> str:
    """Describe the first file that is not what was written; sizes are compared before content."""
    for name, written in files.items():
        if not (folder / name).is_file():
            return f"it has no {name}"
        if (found := (folder / name).stat().st_size) != written.num_bytes:
            return f"{name} has {found} bytes, not the {written.num_bytes} that were written"
    for name, written in files.items():
        if file_checksum(folder / name) != written.crc32:
            return f"the content of {name} is not what was written (its checksum differs)"
    return ""
