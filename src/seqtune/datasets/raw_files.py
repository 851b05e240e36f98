"""`RawFiles`: the user's own files, found but not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from seqtune.contracts.errors import DataError
from seqtune.contracts.secrets import mask

from .cache import Cache
from .object_storage import Entry, ObjectStorage, is_part, is_remote
from .progress import Progress


@dataclass(frozen=True)
class _Wanted:
    """An object, and the folder of the cache that is for it alone."""

    entry: Entry
    folder: Path
    name: str
    """Below that folder: bucket and key, which say what it was, partitions included."""

    @classmethod
    def of(cls, entry: Entry, storage: ObjectStorage, cache: Cache) -> _Wanted:
        folder = cache.folder_of(storage.address(entry.path), entry.tag, str(entry.num_bytes))
        parts = (part for part in entry.path.split("/") if part not in ("", ".", ".."))
        return cls(entry, folder, "/".join(parts))

    @property
    def place(self) -> Path:
        return self.folder / self.name

    def fetch(self, storage: ObjectStorage, progress: Progress, to: Path) -> None:
        storage.fetch(self.entry.path, to / self.name, progress, num_bytes=self.entry.num_bytes)


class RawFiles(AbstractDataset[None, tuple[Path, ...]]):
    """Paths of one or several files, sorted by name; reading them is left to the task.

    Args:
        filepath: A file, a pattern (`data/01_raw/part-*.csv.gz`), a folder of Parquet files
            (`log/date=2024-01-31/part-0.parquet` and so on), or a list of them: paths of this
            machine, or addresses of object storage (s3://, gs://, abfs://), which are fetched once.
        optional: An absent file gives an empty tuple instead of an error.
        looks_like: What the file must look like, shown when it is missing.
        sample: The command that shows the task on generated data, shown then too.
        credentials: Of the object storage, by the names of its fsspec backend (`key`, `secret`).
        fs_args: Further arguments of the backend (`endpoint_url`).
        cache: The folder to fetch to.
    """

    def __init__(
        self,
        *,
        filepath: str | list[str],
        optional: bool = False,
        looks_like: str = "",
        sample: str = "make run",
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        cache: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._patterns = [filepath] if isinstance(filepath, str) else list(filepath)
        self._optional = optional
        self._looks_like = looks_like
        self._sample = sample
        self._options: Mapping[str, Any] = {"credentials": credentials, "fs_args": fs_args}
        self._cache = cache
        self.metadata = metadata

    def load(self) -> tuple[Path, ...]:
        found: list[Path] = []
        for pattern in self._patterns:
            files = self._fetched(pattern) if is_remote(pattern) else _matching(pattern)
            if not files and not self._optional:
                raise DataError(self._missing(pattern))
            found += files
        return tuple(found)

    def save(self, _data: None) -> None:
        raise DatasetError("raw files are never written by seqtune")

    def _exists(self) -> bool:
        return all(self._is_there(pattern) for pattern in self._patterns)

    def _is_there(self, pattern: str) -> bool:
        if is_remote(pattern):
            storage, path = ObjectStorage.at(pattern, **self._options)
            return bool(storage.find(path))
        return bool(_matching(pattern))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": [mask(each) for each in self._patterns], "optional": self._optional}

    def _fetched(self, pattern: str) -> list[Path]:
        """The files of an address, on this machine."""
        storage, path = ObjectStorage.at(pattern, **self._options)
        cache = Cache.named(self._cache, address=mask(pattern))
        wanted = [_Wanted.of(entry, storage, cache) for entry in storage.find(path)]
        missing = [each for each in wanted if not each.place.exists()]
        if missing:
            progress = Progress(
                f"fetching {mask(pattern)}",
                num_files=len(missing),
                num_bytes=sum(each.entry.num_bytes for each in missing),
            )
            for each in missing:
                fetch = partial(each.fetch, storage, progress)
                cache.fill(each.folder, fetch, num_bytes=each.entry.num_bytes)
        return [each.place for each in wanted]

    def _missing(self, pattern: str) -> str:
        kind = "no file matches" if has_magic(pattern) else "there is no file"
        if Path(pattern).is_dir():
            kind = "there is no Parquet file in the folder"
        looks = f" It must look like this: {self._looks_like}." if self._looks_like else ""
        return (
            f"{kind} {mask(pattern)}.{looks} Put your data there, or name another place in "
            f"conf/local/catalog.yml. `{self._sample}` shows the whole chain on generated sample "
            "data."
        )


def _matching(pattern: str) -> list[Path]:
    """The file of that very name, or else the files that the pattern matches.

    Where it names no file but folders, the Parquet files in these.
    """
    names = [pattern] if Path(pattern).is_file() else sorted(glob(pattern))
    paths = [Path(name) for name in names]
    files = [path for path in paths if path.is_file()]
    return files or [part for path in paths for part in _parts(path)]


def _parts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_part(PurePosixPath(path.relative_to(folder).as_posix())):
            yield path
