"""Publish artifacts: on a disk by a rename, in object storage by a list of files written last.

The methods of stores take the path that Kedro gives to a version:

    exists, glob        whether there is a complete artifact; all that match
    spelled             the path as a user writes it
    open, publish       its path on this machine; take what a node has finished in scratch
    reading, writing    the same for a single file, within a context
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from glob import glob
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Protocol

from fsspec.callbacks import NoOpCallback
from pydantic import ValidationError

from seqtune.core.config import Section
from seqtune.core.errors import ArtifactError
from seqtune.core.files import PARTIAL, make_folder, publish, publish_file, remove

from .cache import Cache
from .object_storage import RemotePath
from .progress import Progress

FORMAT_VERSION = 1
LISTED = ".files.json"
"""The end of the name of the list."""


class VersionStore(Protocol):
    """What the versions of any dataset need."""

    def exists(self, path: str) -> bool: ...

    def glob(self, pattern: str) -> list[str]: ...

    def spelled(self, path: str) -> str: ...


class DiskStore:
    """A file system: a path that exists is complete."""

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def glob(self, pattern: str) -> list[str]:
        return sorted(glob(pattern))

    def open(self, path: str) -> Path:
        return Path(path)

    def publish(self, made: Path, path: str, *, replace: bool) -> None:
        if replace:
            remove(Path(path))
        publish(made, Path(path))

    @contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        yield Path(path)

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Yield a path of the same name, in a folder beside it, to write to."""
        target = Path(path)
        make_folder(target.parent)
        with TemporaryDirectory(prefix=".", suffix=PARTIAL, dir=target.parent) as folder:
            yield (partial := Path(folder) / target.name)
            publish_file(partial, target)

    def spelled(self, path: str) -> str:
        return path


@dataclass(frozen=True)
class ObjectStore:
    """Object storage for single files: an object appears when all of it has arrived."""

    root: RemotePath
    """Any path of that storage."""

    def exists(self, path: str) -> bool:
        return self.root.beside(path).exists()

    def glob(self, pattern: str) -> list[str]:
        return [str(info["name"]) for info in self.root.beside(pattern).matching()]

    @contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        with TemporaryDirectory(prefix="seqtune-") as folder:
            file = Path(folder) / PurePosixPath(path).name
            file.write_bytes(self.root.beside(path).read_bytes())
            yield file

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        with TemporaryDirectory(prefix="seqtune-") as folder:
            yield (file := Path(folder) / PurePosixPath(path).name)
            self.root.beside(path).send(file, NoOpCallback())

    def spelled(self, path: str) -> str:
        return str(self.root.beside(path))


class FileListing(Section):
    """The content of `<name>.files.json`, written last: all listed files exist."""

    format_version: int = FORMAT_VERSION
    upload: str
    """New for each upload, for the cache."""
    files: dict[str, int]
    """Paths relative to the folder of the list, with their bytes."""


@dataclass(frozen=True)
class BucketStore(ObjectStore):
    """Object storage, without folders or renames: an artifact with its list is complete."""

    cache: Cache
    versioned: bool

    def exists(self, path: str) -> bool:
        return super().exists(path + LISTED)

    def glob(self, pattern: str) -> list[str]:
        return [path.removesuffix(LISTED) for path in super().glob(pattern + LISTED)]

    def open(self, path: str) -> Path:
        """Return the path in the cache; fetch it first if necessary."""
        listing = self._listing(path)
        folder = self._cached(path, listing)
        if not folder.exists():
            progress = Progress(f"fetching {self.spelled(path)}", listing.files.values())
            fetch = partial(self._fetch, path, listing.files, progress)
            self.cache.fill(folder, fetch, num_bytes=sum(listing.files.values()))
        return folder / PurePosixPath(path).name

    def publish(self, made: Path, path: str, *, replace: bool) -> None:
        target = self.root.beside(path)
        index = self.root.beside(path + LISTED)
        if replace and index.exists():
            with index.explained():
                index.fs.rm_file(index.path)
        files = _files(made, target.name)
        sizes = {name: file.stat().st_size for name, file in files.items()}
        progress = Progress(f"sending {target}", sizes.values())
        for name, file in files.items():
            (target.parent / name).send(file, progress)
        listing = FileListing(upload=uuid.uuid4().hex, files=sizes)
        index.write_text(listing.model_dump_json(indent=1))
        # keep it, so that this machine need not fetch it
        self.cache.fill(
            self._cached(path, listing), lambda folder: shutil.move(made, folder / target.name)
        )

    def _cached(self, path: str, listing: FileListing) -> Path:
        """Keep versions side by side, as on a disk: an ensemble looks for its members there."""
        version = PurePosixPath(path).parent
        identity = [] if self.versioned else [listing.upload]
        return self.cache.folder_of(self.spelled(str(version.parent)), *identity) / version.name

    def _listing(self, path: str) -> FileListing:
        index = self.root.beside(path + LISTED)
        try:
            listing = FileListing.model_validate_json(index.read_text())
        except ValidationError as error:
            raise ArtifactError(
                f"{index} is damaged: {error.errors()[0]['msg']}; delete that version and make it "
                "again"
            ) from error
        if listing.format_version != FORMAT_VERSION:
            raise ArtifactError(
                f"{index} has format {listing.format_version}, this version of seqtune reads "
                f"{FORMAT_VERSION}; make it again with this one"
            )
        return listing

    def _fetch(self, path: str, files: Mapping[str, int], progress: Progress, to: Path) -> None:
        target = self.root.beside(path)
        for name, num_bytes in files.items():
            try:
                (target.parent / name).fetch(to / name, progress, num_bytes=num_bytes)
            except FileNotFoundError as error:
                raise ArtifactError(
                    f"{target} is damaged: {name} is gone, though it is listed in "
                    f"{target.name}{LISTED}; delete that version and make it again"
                ) from error


def _files(made: Path, name: str) -> dict[str, Path]:
    """Return the files of a folder, or the one file, by the names to publish them under."""
    if made.is_file():
        return {name: made}
    return {
        f"{name}/{file.relative_to(made).as_posix()}": file
        for file in sorted(made.rglob("*"))
        if file.is_file()
    }
