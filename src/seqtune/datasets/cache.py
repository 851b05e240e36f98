"""What was fetched from object storage, once, as files of this machine.

    <cache>/<hash>/...        complete: it got its name by one rename
    <cache>/.partial-*        under way, or left behind by a process that was killed

The hash is one of the address and of what changes with the content, so nothing here is ever stale.
Any of it may be deleted while nothing runs: it is fetched again.
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
    """A folder of complete things, each under a name that says what it is."""

    folder: Path

    @classmethod
    def named(cls, folder: str | None, *, address: str) -> Cache:
        """The cache of a catalog entry, which has to name one if its address is remote."""
        if not folder:
            raise ConfigurationError(
                f"{address} is fetched before it is read, and its catalog entry does not say to "
                "where; name a folder of this machine there: `cache: data/00_scratch/remote`"
            )
        return cls(require_local(folder, what="a cache", instead=SCRATCH).absolute())

    def folder_of(self, *identity: str) -> Path:
        """A folder for one thing alone; it, or a folder in it, is filled."""
        digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
        return self.folder / digest[:_HASH_LENGTH]

    def fill(self, folder: Path, fetch: Callable[[Path], object], *, num_bytes: int = 0) -> None:
        """Let `fetch` write the content of a folder, unless another process has done so."""
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
