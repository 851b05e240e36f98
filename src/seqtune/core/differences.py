"""Compare two resolved configurations key by key, in the form of `Resolved.table()`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .parameters import RUNTIME
from .resolve import DEFAULT

Table = Mapping[str, Mapping[str, Any]]
"""Key -> {value, origin}."""
ABSENT = "no such key"


@dataclass(frozen=True)
class Difference:
    """A key with two different values."""

    key: str
    left: Any
    right: Any
    left_origin: str
    right_origin: str


def differences(left: Table, right: Table, *, ignore: Collection[str] = ()) -> list[Difference]:
    """Return the keys whose values differ, sorted; a missing key is ABSENT on that side.

    Values are equal if their JSON is: 1 differs from 1.0 and from true.
    """
    return [
        Difference(
            key,
            _entry(left, key, "value"),
            _entry(right, key, "value"),
            _entry(left, key, "origin"),
            _entry(right, key, "origin"),
        )
        for key in sorted({*left, *right} - set(ignore))
        if _text(left, key) != _text(right, key)
    ]


def explain(
    difference: Difference, task: str, *, names: tuple[str, str] = ("tuning", "training")
) -> str:
    """Describe the key, both values with their origins, and what to change."""
    left = _format_side(difference.left, difference.left_origin)
    right = _format_side(difference.right, difference.right_origin)
    sides = f"{names[0]} has {left}, {names[1]} has {right}"
    return f"{task}.{difference.key}: {sides}; {_next_step(difference, task, names)}"


def shown(value: Any) -> str:
    """Format a value as in YAML."""
    return value if value == ABSENT else json.dumps(value, ensure_ascii=False)


def _format_side(value: Any, origin: str) -> str:
    return ABSENT if value == ABSENT else f"{shown(value)} ({origin})"


def _next_step(difference: Difference, task: str, names: tuple[str, str]) -> str:
    key = f"{task}.{difference.key}"
    if ABSENT in (difference.left, difference.right):
        return (
            "the two come from different versions of seqtune or of its parameters; run both with "
            "the same one"
        )
    steps = (
        _how_to_change(difference.left_origin, key, shown(difference.right), names[0]),
        _how_to_change(difference.right_origin, key, shown(difference.left), names[1]),
    )
    return " or ".join(dict.fromkeys(steps))


def _how_to_change(origin: str, key: str, value: str, side: str) -> str:
    """Say how the side whose value comes from `origin` gets the other value."""
    if origin == RUNTIME:
        return f"leave {key} out of {RUNTIME} (or give {value} there) for {side}"
    if origin == DEFAULT:
        return f"set {key}: {value} in conf/local for {side}"
    return f"change it to {value} for {side} ({origin})"


def _entry(table: Table, key: str, part: str) -> Any:
    return table[key].get(part) if key in table else ABSENT


def _text(table: Table, key: str) -> str:
    if key not in table:
        return ABSENT
    return json.dumps(table[key].get("value"), sort_keys=True, ensure_ascii=False, default=repr)
