"""Kedro hooks, one file for each thing that happens around a run.

They are imported when a session registers them: most commands have no session.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .parameters import ParameterHooks
    from .report import ReportHooks
    from .start import StartHooks
    from .tracking import TrackingHooks

__all__ = ["ParameterHooks", "ReportHooks", "StartHooks", "TrackingHooks"]

MODULES = {
    "ParameterHooks": ".parameters",
    "ReportHooks": ".report",
    "StartHooks": ".start",
    "TrackingHooks": ".tracking",
}


class Hooks:
    """Hooks by name, made when they are first gone through, and once for all sessions.

    `instead_of` names plug-ins that are not even imported.
    """

    def __init__(self, *names: str, instead_of: tuple[str, ...] = ()) -> None:
        self._names = names
        self._nothing = [Nothing(name) for name in instead_of]

    def __iter__(self) -> Iterator[Any]:
        return iter([*self._nothing, *(_made(name) for name in self._names)])


class Nothing:
    """pluggy loads no plug-in under a name that is taken."""

    def __init__(self, name: str) -> None:
        self.__name__ = name


@cache
def _made(name: str) -> Any:
    return _class(name)()


def _class(name: str) -> Any:
    return getattr(import_module(MODULES[name], __name__), name)


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _class(name)
