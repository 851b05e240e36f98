"""Where an artifact is published: on a disk by a rename, in object storage by a list written last.

Both know the same few things, by the path that Kedro gives to a version:

    exists, glob     whether there is something complete; all that match
    open             its path on this machine
    publish          take what a node has finished in scratch
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path, PurePosixPath
from typing import Protocol

from pydantic import ValidationError

from seqtune.contracts.config import Section
from seqtune.contracts.errors import ArtifactError

from .cache import Cache
from .object_storage import ObjectStorage
from .progress import Progress

FORMAT_VERSION = 1
LISTED = ".files.json"
"""What the name of the list ends in."""


class Place(Protocol):
    def exists(self, path: str) -> bool: ...

    def glob(self, pattern: str) -> list[str]: ...

    def open(self, path: str) -> Path: ...

    def publish(self, made: Path, path: str, *, replace: bool) -> None: ...

    def spelled(self, path: str) -> str:
        """The path as a user writes it."""
        ...


class Disk:
    """A file system: what has its name is complete."""

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def glob(self, pattern: str) -> list[str]:
        return sorted(glob(pattern))

    def open(self, path: str) -> Path:
        return Path(path)

    def publish(self, made: Path, path: str, *, replace: bool) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if replace and target.exists():
            _remove(target)
        staged = target.with_name(f".{target.name}.partial")
        _remove(staged)
        shutil.move(made, staged)  # a rename, or a copy where scratch is another file system
        staged.rename(target)

    def spelled(self, path: str) -> str:
        return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Listing(Section):
    """What `<name>.files.json` says: written last, so that what it lists is there."""

    format_version: int = FORMAT_VERSION
    upload: str
    """Another one each time, so that a cache never takes one for another."""
    files: dict[str, int]
    """Paths from the folder of the list on, with their bytes."""


@dataclass(frozen=True)
class Bucket:
    """Object storage, which knows neither folders nor renames: what has its list is complete."""

    storage: ObjectStorage
    cache: Cache
    versioned: bool

    def exists(self, path: str) -> bool:
        return self.storage.exists(path + LISTED)

    def glob(self, pattern: str) -> list[str]:
        return [name.removesuffix(LISTED) for name in self.storage.names(pattern + LISTED)]

    def open(self, path: str) -> Path:
        """The path in the cache, after fetching it where it is not there yet."""
        listing = self._listing(path)
        folder = self._cached(path, listing)
        if not folder.exists():
            num_bytes = sum(listing.files.values())
            progress = Progress(
                f"fetching {self.spelled(path)}", num_files=len(listing.files), num_bytes=num_bytes
            )
            fetch = partial(self._fetch, path, listing.files, progress)
            self.cache.fill(folder, fetch, num_bytes=num_bytes)
        return folder / PurePosixPath(path).name

    def publish(self, made: Path, path: str, *, replace: bool) -> None:
        if replace and self.exists(path):
            self.storage.remove(path + LISTED)
        files = {name: file.stat().st_size for name, file in _files(made, path).items()}
        self._send(made, path, files)
        listing = Listing(upload=uuid.uuid4().hex, files=files)
        self.storage.write(path + LISTED, listing.model_dump_json(indent=1).encode())
        self.cache.adopt(self._cached(path, listing), made, name=PurePosixPath(path).name)

    def spelled(self, path: str) -> str:
        return self.storage.address(path)

    def _cached(self, path: str, listing: Listing) -> Path:
        """As on a disk, versions stand side by side: an ensemble looks for its members there."""
        version = PurePosixPath(path).parent
        identity = [] if self.versioned else [listing.upload]
        return self.cache.folder_of(self.spelled(str(version.parent)), *identity) / version.name

    def _listing(self, path: str) -> Listing:
        try:
            listing = Listing.model_validate_json(self.storage.read(path + LISTED))
        except ValidationError as error:
            raise ArtifactError(
                f"{self.spelled(path + LISTED)} is damaged: {error.errors()[0]['msg']}; delete "
                "that version and make it again"
            ) from error
        if listing.format_version != FORMAT_VERSION:
            raise ArtifactError(
                f"{self.spelled(path + LISTED)} has format {listing.format_version}, this version "
                f"of seqtune reads {FORMAT_VERSION}; make it again with this one"
            )
        return listing

    def _fetch(self, path: str, files: Mapping[str, int], progress: Progress, to: Path) -> None:
        parent = PurePosixPath(path).parent
        for name, num_bytes in files.items():
            try:
                self.storage.fetch(str(parent / name), to / name, progress, num_bytes=num_bytes)
            except FileNotFoundError as error:
                raise ArtifactError(
                    f"{self.spelled(path)} is damaged: {name} is gone, though it is listed in "
                    f"{PurePosixPath(path).name}{LISTED}; delete that version and make it again"
                ) from error

    def _send(self, made: Path, path: str, files: Mapping[str, int]) -> None:
        progress = Progress(
            f"sending {self.spelled(path)}", num_files=len(files), num_bytes=sum(files.values())
        )
        parent = PurePosixPath(path).parent
        for name, file in _files(made, path).items():
            self.storage.send(file, str(parent / name), progress)


def _files(made: Path, path: str) -> dict[str, Path]:
    """The files of a folder, or the one file, under the name that they are published by."""
    name = PurePosixPath(path).name
    if made.is_file():
        return {name: made}
    return {
        f"{name}/{file.relative_to(made).as_posix()}": file
        for file in sorted(made.rglob("*"))
        if file.is_file()
    }
