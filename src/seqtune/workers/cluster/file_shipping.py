"""Ship the folders that work names to other nodes.

Where all nodes share the data folder, paths stay as they are. Otherwise every node receives the
folders that are read, once, through Ray's object store, and writes below a folder of its own.
"""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from seqtune.core.files import lock

from ..relocatable_pickle import RelocatablePickle, seal

PIECE = 64 * 2**20
DAYS_KEPT = 3
"""How long an unused copy stays on a node."""
SCRATCH = "scratch"


@dataclass(frozen=True)
class ShippedFiles:
    """The folders that some work reads, and the one that it writes below."""

    reads: tuple[Path, ...]
    scratch: Path
    copy: bool
    """False if every node sees them under the same path."""

    def pack(self, thing: Any) -> ShippedPayload:
        """Pack `thing` for Ray; the copies live as long as the returned payload."""
        if not self.copy:
            return ShippedPayload(seal(thing), None)
        sealed = seal(thing, *self.reads, self.scratch)
        bare = replace(sealed, folders={})  # each node has its own
        return ShippedPayload(bare, tuple(_put_folder(folder) for folder in self.reads))


@dataclass(frozen=True)
class ShippedPayload:
    """An object for a node, with its folders; only Ray may pickle it."""

    sealed: RelocatablePickle
    copies: tuple[Copy, ...] | None
    """Of the folders that are read; None if all folders are shared."""

    def localize(self) -> RelocatablePickle:
        """Unpack the folders on this node, and return the object with their paths."""
        if self.copies is None:
            return self.sealed
        folders = [copy.unpack() for copy in self.copies]
        own = node_folder() / SCRATCH
        own.mkdir(parents=True, exist_ok=True)
        return replace(self.sealed, folders=dict(enumerate([*folders, own])))

    def open(self) -> Any:
        """Return the object itself."""
        return self.localize().open()


@dataclass(frozen=True)
class Copy:
    """A folder in the object store."""

    key: str
    """Changes with the content."""
    files: Mapping[str, Sequence[Any]]
    """The pieces of each file, by its path."""

    def unpack(self) -> Path:
        """Return the folder on this node; the first process writes it, the others wait."""
        folder = node_folder() / self.key
        with lock(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _remove_old(folder.parent)
                self._write(folder)
            os.utime(folder)
        return folder

    def _write(self, folder: Path) -> None:
        import ray

        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for name, pieces in self.files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for piece in pieces:
                    file.write(ray.get(piece))
        partial.rename(folder)


def node_folder() -> Path:
    """Return the folder of a node for copies of this user's folders."""
    return Path(tempfile.gettempdir()) / f"seqtune-{getpass.getuser()}"


def _put_folder(folder: Path) -> Copy:
    """Put a folder into the object store."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    listing = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in facts])
    key = sha256(f"{folder.resolve()}{listing}".encode()).hexdigest()[:16]
    return Copy(key, {name: list(_put_pieces(folder / name)) for name, _ in facts})


def _put_pieces(path: Path) -> Iterator[Any]:
    import ray

    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield ray.put(piece)


def _remove_old(base: Path) -> None:
    oldest = time.time() - DAYS_KEPT * 24 * 3600
    for folder in base.iterdir():
        if folder.is_dir() and folder.name != SCRATCH and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
