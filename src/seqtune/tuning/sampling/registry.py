"""Samplers and pruners by name. Each is one file of its package, imported on use."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

EntryT = TypeVar("EntryT")


class Registry(Generic[EntryT]):
    """Entries by name: the `ENTRY` of the file of that name, or one added to `entries`."""

    def __init__(self, what: str, package: str, *, words: tuple[str, ...]) -> None:
        self._what, self._package, self._words = what, package, words
        self.entries: dict[str, EntryT] = {}

    def names(self) -> list[str]:
        """Return all names, sorted, without importing the files."""
        files = iter_modules([str(Path(__file__).with_name(self._package))])
        return sorted({*self.entries, *(file.name for file in files)})

    def allowed(self) -> list[str]:
        """Return the values allowed as a parameter: the names, and words such as auto."""
        return [*self._words, *self.names()]

    def check(self, name: str) -> str:
        """Return the name, or raise ValueError if it is not allowed."""
        allowed = self.allowed()
        if name in allowed:
            return name
        close = [f"; did you mean {one!r}?" for one in get_close_matches(name, allowed, n=1)]
        raise ValueError(f"no such {self._what}, allowed: {', '.join(allowed)}{''.join(close)}")

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> EntryT:
        if name not in self.entries:
            self.entries[name] = import_module(f".{self._package}.{name}", __package__).ENTRY
        return self.entries[name]


# Any: the configuration checks names here, and the entries are built from the configuration.
SAMPLERS: Registry[Any] = Registry("sampler", "samplers", words=("auto",))
PARETO = "pareto"
"""The pruner for several objectives; all others compare one."""
PRUNERS: Registry[Any] = Registry("pruner", "pruners", words=("auto", "none"))
