"""`RemotePath`: what readers of results need of `pathlib.Path`, in object storage.

For a few files of a version; a dataset as a whole is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, TypeAlias, cast

from .object_storage import ObjectStorage, is_object_storage, is_remote
from .places import LISTED

ARTIFACT = "Artifact"


@dataclass(frozen=True)
class RemotePath:
    """A file or a folder, by bucket and key."""

    storage: ObjectStorage
    path: str
    is_artifact: bool = False
    """Whether it is complete only where there is a list of its files."""

    def __str__(self) -> str:
        return self.storage.address(self.path)

    def __truediv__(self, name: str) -> RemotePath:
        return self._other(f"{self.path}/{name}")

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.path).suffix

    @property
    def parent(self) -> RemotePath:
        return self._other(str(PurePosixPath(self.path).parent))

    def exists(self) -> bool:
        return self.storage.exists(self.path + self._mark)

    def is_file(self) -> bool:
        return bool(self.storage.filesystem().isfile(self.path))

    def is_dir(self) -> bool:
        return bool(self.storage.filesystem().isdir(self.path))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """What matches and is complete, sorted."""
        for found in self.storage.names(f"{escape(self.path)}/{pattern}{self._mark}"):
            yield self._other(found.removesuffix(self._mark))

    def open(self, mode: Literal["rb"]) -> IO[bytes]:
        return cast("IO[bytes]", self.storage.filesystem().open(self.path, mode))

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.storage.read(self.path).decode(encoding)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """All at once: whoever reads meanwhile reads what was there before."""
        self.storage.write(self.path, text.encode(encoding))

    def fetch(self, folder: Path) -> Path:
        """A copy of the file in a folder of this machine."""
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / self.name
        copy.write_bytes(self.storage.read(self.path))
        return copy

    @property
    def _mark(self) -> str:
        return LISTED if self.is_artifact else ""

    def _other(self, path: str) -> RemotePath:
        return RemotePath(self.storage, path, self.is_artifact)


AnyPath: TypeAlias = Path | RemotePath


def path_of(entry: Mapping[str, Any], version: str | None = None) -> AnyPath | None:
    """Where the dataset of a catalog entry stands, or one version of it if it keeps any; None where
    that is neither a file system nor object storage."""
    path = _top(entry)
    if path is None or version is None or not entry.get("versioned"):
        return path
    return path / version / path.name


def _top(entry: Mapping[str, Any]) -> AnyPath | None:
    address = entry.get("filepath")
    if not isinstance(address, str):
        return None
    if not is_remote(address):
        return Path(address)
    if not is_object_storage(address):
        return None
    storage, path = ObjectStorage.at(address, credentials=entry.get("credentials"))
    is_artifact = str(entry.get("type")).rpartition(".")[2] == ARTIFACT
    return RemotePath(storage, path, is_artifact)
