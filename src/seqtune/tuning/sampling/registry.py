"""Samplers and pruners by name. Each is one file of its package, imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from ..config import SamplerConfig
    from ..spaces.space import Space
    from .pruners import Case

EntryT = TypeVar("EntryT")


class Registry(Generic[EntryT]):
    """Entries by name: the `ENTRY` of the file of that name, or what was put into `entries`."""

    def __init__(self, what: str, package: str, *, words: tuple[str, ...]) -> None:
        self._what, self._package = what, package
        self._words = words
        self.entries: dict[str, EntryT] = {}

    def names(self) -> list[str]:
        """All names, sorted. Imports nothing."""
        files = iter_modules([str(Path(__file__).with_name(self._package))])
        return sorted({*self.entries, *(file.name for file in files)})

    def allowed(self) -> list[str]:
        """What may be written as a parameter: the names, and words such as auto."""
        return [*self._words, *self.names()]

    def check(self, name: str) -> str:
        """Raise ValueError unless it may be written."""
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


@dataclass(frozen=True)
class SamplerContext:
    """What the sampler of one trial is built from."""

    config: SamplerConfig
    space: Space
    search_seed: int
    seed: int
    """Of this trial: a function of search, stage and rank."""
    rank: int
    """The number of configurations before it, those that were given back left out."""
    num_drawn: int
    """How many of those came from the sampler."""
    total: int
    """Trials of the whole search."""


@dataclass(frozen=True)
class Sampler:
    """One way to propose configurations."""

    build: Callable[[SamplerContext], BaseSampler]
    summary: str
    """What to take it for."""
    is_model_based: bool = False
    """It looks where it believes the best to be, which makes importances near chance."""
    check: Callable[[SamplerConfig, Space, int], None] = lambda _config, _space, _num_goals: None
    """Raises ConfigurationError for a space or a number of goals that it cannot search."""
    num_configurations: Callable[[SamplerConfig, Space], int | None] = lambda _config, _space: None
    """How many different ones it can propose; None for any number."""


@dataclass(frozen=True)
class PruningRule:
    """One way to tell that a trial is not worth its remaining epochs."""

    reason: Callable[[Case], str]
    """Why the trial should stop; empty: it goes on."""
    summary: str
    """A trial is stopped when ..."""


SAMPLERS: Registry[Sampler] = Registry("sampler", "samplers", words=("auto",))
PRUNERS: Registry[PruningRule] = Registry("pruner", "pruners", words=("auto", "none"))
