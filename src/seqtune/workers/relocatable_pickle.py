"""An object on its way to another process, perhaps to one that has its folders elsewhere."""

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
    """Pickled: opened when the other process is ready for it, with a fault reported like any
    other."""

    data: bytes
    start: Path
    """Where relative paths begin that the object names as words, such as the folder of a model."""
    folders: Mapping[int, Path] = field(default_factory=dict)
    """Where each folder of `seal` is, for whoever opens this."""

    def open(self) -> Any:
        """The object, which names its folders as they are here; the process goes where it was
        sealed, if there is such a folder on this machine."""
        with suppress(OSError):
            os.chdir(self.start)
        return _Unpickler(io.BytesIO(self.data), self.folders).load()


def seal(thing: Any, *folders: Path) -> RelocatablePickle:
    """Pickle it; any path in it that is one of `folders`, or below one, is left open."""
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
