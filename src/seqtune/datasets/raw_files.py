"""`RawFiles`: the paths of the user's own files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractDataset, DatasetError

from seqtune.core.errors import DataError
from seqtune.core.file_type import irregular_file
from seqtune.core.secrets import mask

from .cache import Cache
from .object_storage import RemoteFile, RemotePath, is_part, is_remote
from .progress import Progress


class RawFiles(AbstractDataset[None, tuple[Path, ...]]):
    """Paths of one or several files, sorted by name; the task reads them.

    Args:
        filepath: A file, a pattern (`data/01_raw/part-*.csv.gz`), a folder of Parquet files
            (`log/date=2024-01-31/part-0.parquet` and so on), or a list of them: paths of this
            machine, or addresses of object storage (s3://, gs://, abfs://), which are fetched once.
        optional: An absent file gives an empty tuple instead of an error.
        looks_like: What the file must look like, shown when it is missing.
        sample: The command that runs the task on generated data, shown then too.
        credentials: For the object storage, by the names of its fsspec backend (`key`, `secret`).
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
            files = self._fetch(pattern) if is_remote(pattern) else _matching(pattern)
            if not files and (not self._optional or os.path.lexists(pattern)):
                raise DataError(self._missing(pattern))
            found += files
        return tuple(found)

    def save(self, _data: None) -> None:
        raise DatasetError("raw files are never written by seqtune")

    def _exists(self) -> bool:
        return all(
            RemotePath.at(pattern, **self._options).find()
            if is_remote(pattern)
            else _matching(pattern)
            for pattern in self._patterns
        )

    def _describe(self) -> dict[str, Any]:
        return {"filepath": [mask(each) for each in self._patterns], "optional": self._optional}

    def _fetch(self, pattern: str) -> list[Path]:
        """Fetch the files of an address, each to a folder of its own in the cache."""
        cache = Cache.named(self._cache, address=mask(pattern))
        found = {}
        for file in RemotePath.at(pattern, **self._options).find():
            folder = cache.folder_of(str(file.path), file.tag, str(file.num_bytes))
            found[folder, _local_name(file)] = file
        missing = {key: file for key, file in found.items() if not key[0].joinpath(key[1]).exists()}
        if missing:
            sizes = [file.num_bytes for file in missing.values()]
            progress = Progress(f"fetching {mask(pattern)}", sizes)
            for (folder, name), file in missing.items():
                fetch = partial(_fetch_file, file, name, progress)
                cache.fill(folder, fetch, num_bytes=file.num_bytes)
        return [folder / name for folder, name in found]

    def _missing(self, pattern: str) -> str:
        kind = "no file matches" if has_magic(pattern) else "there is no file"
        if Path(pattern).is_dir():
            kind = "there is no Parquet file in the folder"
        elif os.path.lexists(pattern):
            return irregular_file(Path(pattern))
        looks = f" It must look like this: {self._looks_like}." if self._looks_like else ""
        return (
            f"{kind} {mask(pattern)}.{looks} Put your data there, or name another place in "
            f"conf/local/catalog.yml. `{self._sample}` shows the whole chain on generated sample "
            "data."
        )


def _local_name(file: RemoteFile) -> str:
    """Return bucket and key, which name the partitions as well."""
    return "/".join(part for part in file.path.path.split("/") if part not in ("", ".", ".."))


def _fetch_file(file: RemoteFile, name: str, progress: Progress, folder: Path) -> None:
    file.path.fetch(folder / name, progress, num_bytes=file.num_bytes)


def _matching(pattern: str) -> list[Path]:
    """Return the file of this name, or the matches; for folders, their Parquet files."""
    names = [pattern] if Path(pattern).is_file() else sorted(glob(pattern))
    paths = [Path(name) for name in names]
    files = [path for path in paths if path.is_file()]
    return files or [part for path in paths for part in _parts(path)]


def _parts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_part(PurePosixPath(path.relative_to(folder).as_posix())):
            yield path
