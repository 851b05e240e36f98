"""Which values of a configuration somebody reads.

A searched parameter that a training never reads is searched in vain (`training.step_gamma` with
`scheduler: none`). `watched` gives a copy of a configuration that keeps note.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeVar

from pydantic import PrivateAttr

from .config import RunConfig, Section

RunConfigT = TypeVar("RunConfigT", bound=RunConfig)


def watched(config: RunConfigT) -> tuple[RunConfigT, set[str]]:
    """A copy that notes the dotted key of every leaf that is read, and where it notes them.

    Reading a section is not reading what is in it; neither is writing it out as a whole
    (`model_dump`, a fingerprint), comparing or copying it. In another process it is a plain copy.
    """
    reads: set[str] = set()
    return _watched(config, _Notes(reads, "")), reads


class _Notes(NamedTuple):
    reads: set[str]
    prefix: str


def _watched(section: Section, notes: _Notes) -> Any:
    values = {}
    for name, value in section:
        inner = _Notes(notes.reads, f"{notes.prefix}{name}.")
        values[name] = _watched(value, inner) if isinstance(value, Section) else value
    copy = _watching(type(section)).model_construct(section.model_fields_set, **values)
    copy._notes = notes
    return copy


@cache
def _watching(section: type[Section]) -> Any:
    """A subclass of a section whose instances note which of their fields are read."""
    names = frozenset(section.model_fields)

    class Watching(section):  # type: ignore[misc, valid-type]
        _notes: _Notes | None = PrivateAttr(default=None)

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name in names and not isinstance(value, Section):
                private = super().__getattribute__("__pydantic_private__") or {}
                if (notes := private.get("_notes")) is not None:
                    notes.reads.add(f"{notes.prefix}{name}")
            return value

        def __reduce_ex__(self, protocol: Any) -> Any:
            return _rebuilt, (section, dict(self))

    Watching.__name__, Watching.__qualname__ = section.__name__, section.__qualname__
    return Watching


def _rebuilt(section: type[Section], values: dict[str, Any]) -> Section:
    return section.model_construct(**values)
