"""Samplers and pruners by name. Each is one file of its package, imported on use."""

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


@dataclass(frozen=True)
class SamplerContext:
    """The input from which the sampler of one trial is built."""

    config: SamplerConfig
    space: Space
    search_seed: int
    seed: int
    """Of this trial: a function of search, stage and rank."""
    rank: int
    """Configurations tried before it."""
    num_drawn: int
    """How many of them came from the sampler."""
    total: int
    """Trials of the whole search."""


@dataclass(frozen=True)
class Sampler:
    """One way to propose configurations."""

    build: Callable[[SamplerContext], BaseSampler]
    summary: str
    """When to use it."""
    is_model_based: bool = False
    """It searches where it expects the best, which makes importances near chance."""
    check: Callable[[SamplerConfig, Space, int], None] = lambda _config, _space, _num_goals: None
    """Raise ConfigurationError for a space or a number of goals that it cannot search."""
    num_configurations: Callable[[SamplerConfig, Space], int | None] = lambda _config, _space: None
    """How many different ones it can propose; None for any number."""


@dataclass(frozen=True)
class PruningRule:
    """One rule by which a trial is stopped."""

    reason: Callable[[Case], str]
    """Why the trial should stop; empty if it continues."""
    summary: str
    """A trial is stopped when ..."""


SAMPLERS: Registry[Sampler] = Registry("sampler", "samplers", words=("auto",))
PRUNERS: Registry[PruningRule] = Registry("pruner", "pruners", words=("auto", "none"))
