"""Files of object storage, fetched once to this machine.

    <cache>/<hash>/...        complete: named by one rename
    <cache>/.partial-*        in progress, or left by a killed process

The hash covers the address and a tag that changes with the content, so nothing becomes stale.
Everything may be deleted while nothing runs: it is fetched again.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from seqtune.core.errors import ConfigurationError, StorageError, storage_error
from seqtune.core.files import lock
from seqtune.core.format import format_size

from .object_storage import SCRATCH, require_local

_HASH_LENGTH = 16
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Cache:
    """A folder of complete entries, each named by its identity."""

    folder: Path

    @classmethod
    def named(cls, folder: str | None, *, address: str) -> Cache:
        """Return the cache of a catalog entry, which must name one if its address is remote."""
        if not folder:
            raise ConfigurationError(
                f"{address} is fetched before it is read, and its catalog entry names no folder "
                "for that; add one of this machine: `cache: data/00_scratch/remote`"
            )
        return cls(require_local(folder, what="a cache", instead=SCRATCH).absolute())

    def folder_of(self, *identity: str) -> Path:
        """Return the folder of one entry; `fill` it, or a folder in it."""
        digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
        return self.folder / digest[:_HASH_LENGTH]

    def fill(self, folder: Path, fetch: Callable[[Path], object], *, num_bytes: int = 0) -> None:
        """Let `fetch` write the content of a folder, unless it exists already."""
        with self._disk_errors(), lock(self.folder / ".lock"):
            for left in self.folder.glob(".partial-*"):
                shutil.rmtree(left)
            if folder.exists():
                return
            self._require_space(num_bytes)
            with TemporaryDirectory(prefix=".partial-", dir=self.folder) as partial:
                fetch(Path(partial))
                folder.parent.mkdir(exist_ok=True)
                Path(partial).rename(folder)

    def _require_space(self, num_bytes: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < num_bytes:
            raise self._full(f"{format_size(num_bytes)} are needed, {format_size(free)} are free")

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise self._full(str(error)) from error
            if explained := storage_error(error, self.folder):
                raise explained from error
            raise

    def _full(self, reason: str) -> StorageError:
        return StorageError(
            f"cannot fetch to {self.folder}: no space is left on the disk ({reason}). Free space "
            "(while nothing runs, anything in that folder may be deleted), or set `scratch` in "
            "conf/local/globals.yml to another disk, and run again: complete files are kept"
        )
