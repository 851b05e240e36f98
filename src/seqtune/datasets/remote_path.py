"""Find the path of a dataset, on this machine or in object storage, without loading it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeAlias

from typing_extensions import override

from .object_storage import RemotePath, is_object_storage, is_remote
from .version_store import LISTED

ARTIFACT = "Artifact"


class ArtifactPath(RemotePath):
    """A path that exists only if there is a list of its files."""

    @override
    def exists(self, **_: Any) -> bool:
        return self.beside(self.path + LISTED).look() is not None

    @override
    def glob(self, pattern: str, **_: Any) -> Iterator[Self]:
        for found in super().glob(pattern + LISTED):
            yield self.beside(found.path.removesuffix(LISTED))


AnyPath: TypeAlias = Path | RemotePath


def path_of(entry: Mapping[str, Any], version: str | None = None) -> AnyPath | None:
    """Return the path of a catalog entry, in one version if it is versioned; None if it is neither
    on a file system nor in object storage."""
    address = entry.get("filepath")
    if not isinstance(address, str) or (is_remote(address) and not is_object_storage(address)):
        return None
    path: AnyPath = Path(address)
    if is_remote(address):
        is_artifact = str(entry.get("type")).rpartition(".")[2] == ARTIFACT
        kind = ArtifactPath if is_artifact else RemotePath
        path = kind.at(address, credentials=entry.get("credentials"))
    return path / version / path.name if version and entry.get("versioned") else path
