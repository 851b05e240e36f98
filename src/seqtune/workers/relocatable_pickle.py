"""Pickle an object for another process, which may have its folders elsewhere."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from typing_extensions import override


@dataclass(frozen=True)
class RelocatablePickle:
    """A pickled object, loaded by the other process when it can report an error."""

    data: bytes
    start: Path
    """The working directory, for relative paths that the object holds as text."""
    folders: Mapping[int, Path] = field(default_factory=dict)
    """Where each folder given to `seal` is on the machine that opens this."""

    def open(self) -> Any:
        """Load the object with the folders of this machine.

        The process changes to the working directory of `seal` if this machine has it.
        """
        with suppress(OSError):
            os.chdir(self.start)
        return _Unpickler(io.BytesIO(self.data), self.folders).load()


def seal(thing: Any, *folders: Path) -> RelocatablePickle:
    """Pickle `thing`; paths that are, or lie below, one of `folders` are resolved by `open`."""
    buffer = io.BytesIO()
    _Pickler(buffer, folders).dump(thing)
    return RelocatablePickle(buffer.getvalue(), Path.cwd(), dict(enumerate(folders)))


class _Pickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, folders: tuple[Path, ...]) -> None:
        super().__init__(buffer)
        self._folders = folders

    @override
    def persistent_id(self, obj: Any) -> tuple[int, str] | None:
        if isinstance(obj, PurePath):
            for number, folder in enumerate(self._folders):
                if obj.is_relative_to(folder):
                    return number, obj.relative_to(folder).as_posix()
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO, folders: Mapping[int, Path]) -> None:
        super().__init__(buffer)
        self._folders = folders

    @override
    def persistent_load(self, pid: tuple[int, str]) -> Path:
        number, below = pid
        return self._folders[number] / below
