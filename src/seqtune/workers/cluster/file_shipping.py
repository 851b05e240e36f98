"""Folders that work names, and how they get to other nodes.

Where all nodes share the data folder, they are what they are. Otherwise every node is sent the
folders that are read, once, through Ray's object store, and works below a folder of its own.
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
"""How long a copy that nobody opens stays on a node."""
SCRATCH = "scratch"


@dataclass(frozen=True)
class ShippedFiles:
    """The folders of some work, in the process that hands it out."""

    reads: tuple[Path, ...]
    scratch: Path
    copy: bool
    """False: every node sees them under the same path."""

    def pack(self, thing: Any) -> ShippedPayload:
        """The thing, ready to be given to Ray; its copies live as long as what this returns."""
        if not self.copy:
            return ShippedPayload(seal(thing), None)
        sealed = seal(thing, *self.reads, self.scratch)
        bare = replace(sealed, folders={})  # each node has its own
        return ShippedPayload(bare, tuple(_sent(folder) for folder in self.reads))


@dataclass(frozen=True)
class ShippedPayload:
    """Something on its way to a node; only Ray may pickle it."""

    sealed: RelocatablePickle
    copies: tuple[Copy, ...] | None
    """Of the folders that are read; None where all are shared."""

    def localize(self) -> RelocatablePickle:
        """With every folder in its place on this node."""
        if self.copies is None:
            return self.sealed
        folders = [copy.unpack() for copy in self.copies]
        own = node_folder() / SCRATCH
        own.mkdir(parents=True, exist_ok=True)
        return replace(self.sealed, folders=dict(enumerate([*folders, own])))

    def open(self) -> Any:
        """The thing itself."""
        return self.localize().open()


@dataclass(frozen=True)
class Copy:
    """A folder in the object store."""

    key: str
    """Says what is in it."""
    files: Mapping[str, Sequence[Any]]
    """The pieces of each file, by its path."""

    def unpack(self) -> Path:
        """The folder on this node: whoever comes first writes it, all others wait for that."""
        folder = node_folder() / self.key
        with lock(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _forget_old(folder.parent)
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
    """Where copies of this user's folders are kept on a node."""
    return Path(tempfile.gettempdir()) / f"seqtune-{getpass.getuser()}"


def _sent(folder: Path) -> Copy:
    """Put a folder into the object store."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    told = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in facts])
    key = sha256(f"{folder.resolve()}{told}".encode()).hexdigest()[:16]
    return Copy(key, {name: list(_pieces(folder / name)) for name, _ in facts})


def _pieces(path: Path) -> Iterator[Any]:
    import ray

    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield ray.put(piece)


def _forget_old(base: Path) -> None:
    oldest = time.time() - DAYS_KEPT * 24 * 3600
    for folder in base.iterdir():
        if folder.is_dir() and folder.name != SCRATCH and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
